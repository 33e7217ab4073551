"""Searching and asking, on a pipe and on a terminal."""

import os
import pty
import select
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from appliance import wire
from tests.appliance.cli.conftest import Run
from tests.fake_service import FakeService, citation, document, passage

_SECONDS = 30.0
ROOT = Path(__file__).parents[3]


def test_passages_are_printed_with_document_page_and_heading(run: Run, service: FakeService) -> None:
    service.passages = [passage("Some text.", page=3), passage("More.", page=4, page_last=5, heading=[])]
    assert run("search", "filter").out == (
        "1. manual.pdf, page 3 · Care › Filters\n   Some text.\n\n2. manual.pdf, pages 4-5\n   More.\n\n"
    )


def test_a_heading_is_printed_once(run: Run, service: FakeService) -> None:
    service.passages = [
        passage("Filters\nChange the filter every 500 hours."),
        passage("Filters must be kept clean.\nFilters\nEnd."),
        passage("Filters"),
    ]
    lines = [line for line in run("search", "filter").out.splitlines() if line]
    assert lines == [
        "1. manual.pdf, page 3 · Care › Filters",
        "   Change the filter every 500 hours.",
        "2. manual.pdf, page 3 · Care › Filters",
        "   Filters must be kept clean. Filters End.",
        "3. manual.pdf, page 3 · Care › Filters",
        "   Filters",
    ]
    assert run("search", "filter", "--json").json["results"][0]["text"].startswith("Filters\n")


def test_a_search_as_json_is_the_apis(run: Run, service: FakeService) -> None:
    result = run("search", "filter", "-k", "3", "--collection", "x", "--json")
    assert result.json["results"][0]["chunk_id"] == "c3"
    assert service.asked == [{"query": "filter", "k": 3, "collection": "x"}]


def test_finding_nothing_is_not_a_failure(run: Run, service: FakeService) -> None:
    service.passages = []
    result = run("search", "filter")
    assert (result.code, result.out) == (0, "Nothing found.\n")


def test_an_answer_is_printed_with_its_citations_and_who_gave_it(run: Run, service: FakeService) -> None:
    result = run("ask", "How often?")
    assert result.code == 0
    assert result.out == (
        "Every 500 hours [1].\n"
        "\n[1] manual.pdf, page 3\n    “Change the filter every 500 hours”\n"
        "\nQuoted from the documents without a language model in 0.5 s.\n"
    )


def test_an_answer_as_json_is_the_apis(run: Run, service: FakeService) -> None:
    result = run("ask", "Q", "--model", "qwen", "--adapter", "legal=0.5", "--adapter", "tone", "--json")
    assert (result.json["model"], result.json["finish_reason"]) == ("qwen", "stop")
    assert service.asked[0]["adapters"] == [{"id": "legal", "scale": 0.5}, {"id": "tone", "scale": 1.0}]


def test_a_fallback_and_a_doubtful_citation_are_said(run: Run, service: FakeService) -> None:
    service.answered_by = "tiny"
    service.fallback = wire.Fallback(from_="big", reason="it crashed")
    service.citations = [citation("words", supported=False)]
    out = run("ask", "Q").out
    assert "Answered by tiny in 0.5 s. It stood in for big: it crashed" in out
    assert "does not clearly support" in out


def test_the_question_may_come_from_stdin(run: Run, service: FakeService, monkeypatch: pytest.MonkeyPatch) -> None:
    import io

    monkeypatch.setattr("sys.stdin", io.StringIO("From a file?\n"))
    run("ask", "-")
    assert service.asked[0]["question"] == "From a file?"


@pytest.mark.parametrize("arguments", [("",), ("  ",), ("x" * 20_000,), ("Q", "--adapter", "a=much")])
def test_an_empty_or_endless_question_is_a_misuse(run: Run, service: FakeService, arguments: tuple[str, ...]) -> None:
    result = run("ask", *arguments)
    assert result.code == 2
    assert service.asked == []


def test_an_unknown_model_ends_with_4(run: Run, service: FakeService) -> None:
    body = wire.ErrorBody(message="no model is called x", type="not_found_error", code="model_not_found", hint="see")
    service.refusal = (404, body)
    result = run("ask", "Q", "--model", "x")
    assert (result.code, result.err) == (4, "docent: no model is called x\n  → see\n")


@pytest.mark.parametrize("option", [(), ("--no-stream",)])
def test_an_answer_that_broke_off_says_why_and_ends_with_1(
    run: Run, service: FakeService, option: tuple[str, ...]
) -> None:
    service.answered_by = "tiny"
    service.error = wire.ErrorBody(message="it crashed", type="server_error", code="model_crashed", hint="ask again")
    result = run("ask", "Q", *option)
    assert (result.code, result.err) == (1, "docent: the answer broke off: it crashed\n  → ask again\n")
    assert "Every 500 hours [1]." in result.out
    assert "Started by tiny in 0.5 s. It broke off." in result.out


def test_an_answer_that_broke_off_says_why_in_its_json(run: Run, service: FakeService) -> None:
    service.error = wire.ErrorBody(message="it crashed", type="server_error", code="model_crashed", hint="ask again")
    result = run("ask", "Q", "--json")
    assert (result.code, result.json["finish_reason"]) == (1, "error")
    assert result.json["error"] == {
        "message": "it crashed", "type": "server_error", "code": "model_crashed", "hint": "ask again"
    }  # fmt: skip


def test_a_models_answer_without_a_citation_carries_a_warning(run: Run, service: FakeService) -> None:
    service.answered_by, service.citations = "tiny", []
    assert "Answered by tiny in 0.5 s. This answer cites no page: check it yourself." in run("ask", "Q").out
    service.answered_by = "extractive"
    assert "check it yourself" not in run("ask", "Q").out


def test_quotes_of_one_place_are_listed_under_its_marker(run: Run, service: FakeService) -> None:
    service.citations = [citation("one"), citation("two", "[2]", page=4), citation("three"), citation("one")]
    assert run("ask", "Q").out.split("\n\n")[1:3] == [
        "[1] manual.pdf, page 3\n    “one”\n    “three”",
        "[2] manual.pdf, page 4\n    “two”",
    ]


def test_several_models_without_a_default_are_named(run: Run, service: FakeService) -> None:
    def gguf(name: str) -> wire.Model:
        return wire.Model(id=name, kind="gguf", state="installed", architecture="qwen2", size=1, sha256="a")

    service.put(document())
    service.models = [gguf("big")]
    assert "--model" not in run("ask", "Q").out
    service.models.append(gguf("small"))
    advice = "No default model is set: name one with --model (big, small) or set models.default."
    assert run("ask", "Q").out.endswith(f"{advice}\n")
    assert advice not in run("ask", "Q", "--model", "big").out


def test_an_empty_library_is_said(run: Run, service: FakeService, home: Path) -> None:
    service.citations, service.tokens = [], ["The documents do not answer this."]
    assert f"web pages, texts) into {home}/library" in run("ask", "Q").out
    service.put(document())
    assert "empty" not in run("ask", "Q").out


def test_files_that_have_arrived_are_not_an_empty_library(run: Run, service: FakeService) -> None:
    service.citations, service.unsettled = [], 2
    arrived = "2 files have arrived and are being read; try again in a moment.\n"
    assert run("ask", "Q").out.endswith(arrived)
    assert run("documents", "list").out == arrived


def test_an_answer_without_a_quote_says_that_nothing_was_found(run: Run, service: FakeService) -> None:
    service.put(document())
    service.citations, service.tokens = [], ["The documents do not answer this question."]
    byline = "Nothing found to quote (no language model), 0.5 s."
    assert run("ask", "Q").out.endswith(f"\n\n{byline}\nTry `docent search` with other words.\n")


@pytest.mark.parametrize(
    "arguments",
    [
        ("search", "\udcff"),
        ("ask", "\udcff"),
        ("ask", "Q", "--model", "\udcff"),
        ("ask", "Q", "--adapter", "\udcff"),
        ("models", "load", "\udcff"),
        ("models", "verify", "\udcff"),
        ("models", "import", "f.gguf", "--id", "\udcff"),
        ("adapters", "remove", "\udcff"),
        ("documents", "list", "--state", "\udcff"),
        ("\udcff",),
        ("search", "x", "--\udcff"),
    ],
)
def test_what_must_be_text_and_is_not_is_a_misuse(run: Run, service: FakeService, arguments: tuple[str, ...]) -> None:
    assert run(*arguments).code == 2
    assert run(*arguments, "--json").json["error"]["code"] == "usage"
    assert service.asked == []


def test_a_collection_of_any_bytes_is_asked_for_as_it_is_shown(run: Run, service: FakeService) -> None:
    assert run("ask", "Q", "-c", "odd\udcff").code == 0
    assert service.asked[0]["collection"] == r"odd\xff"


def test_stdin_that_is_no_text_is_a_misuse(home: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "appliance", "ask", "-"],
        input=b"\xff\xfe hello",
        capture_output=True,
        cwd=ROOT,
        env={**os.environ, "PYTHONUTF8": "1"},
        check=False,
    )
    assert (done.returncode, b"not UTF-8" in done.stderr, b"Traceback" in done.stderr) == (2, True, False)


@pytest.mark.parametrize("query", ["", "   ", "x" * 100_000])
def test_an_empty_or_endless_query_is_a_misuse(run: Run, service: FakeService, query: str) -> None:
    result = run("search", query)
    assert (result.code, service.asked) == (2, [])
    assert "the query " in result.err


class Terminal:
    """`docent` on a terminal of its own."""

    def __init__(self, *arguments: str) -> None:
        self._master, slave = pty.openpty()
        self.process = subprocess.Popen(
            [sys.executable, "-m", "appliance", *arguments],
            stdin=slave,
            stdout=slave,
            stderr=slave,
            cwd=ROOT,
            start_new_session=True,
        )
        os.close(slave)
        self.shown = ""

    def read_until(self, text: str) -> None:
        while text not in self.shown:
            assert self._read(), self.shown

    def finish(self) -> int:
        while self._read():
            pass
        return self.process.wait(_SECONDS)

    def _read(self) -> bool:
        assert select.select([self._master], [], [], _SECONDS)[0], f"nothing came after {self.shown!r}"
        try:
            piece = os.read(self._master, 4096)
        except OSError:  # Linux says so when the other side is closed
            return False
        self.shown += piece.decode().replace("\r\n", "\n")
        return bool(piece)

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        os.close(self._master)


@pytest.fixture
def terminals() -> Iterator[list[Terminal]]:
    opened: list[Terminal] = []
    yield opened
    for terminal in opened:
        terminal.close()


def test_on_a_terminal_the_answer_appears_as_it_is_written(service: FakeService, terminals: list[Terminal]) -> None:
    service.hold.clear()
    terminal = Terminal("ask", "How often?")
    terminals.append(terminal)
    terminal.read_until("Every")
    assert "500" not in terminal.shown
    service.hold.set()
    assert terminal.finish() == 0
    assert terminal.shown.startswith("Every 500 hours [1].\n\n[1] manual.pdf, page 3\n")
    assert terminal.shown.count("500 hours [1]") == 1


def test_ctrl_c_cancels_the_answer(service: FakeService, terminals: list[Terminal]) -> None:
    service.hold.clear()
    terminal = Terminal("ask", "How often?")
    terminals.append(terminal)
    terminal.read_until("Every")
    terminal.process.send_signal(signal.SIGINT)
    assert terminal.finish() == 130
    assert service.cancelled.wait(10)
    assert "Traceback" not in terminal.shown


def test_no_stream_prints_the_answer_whole(service: FakeService, terminals: list[Terminal]) -> None:
    terminal = Terminal("ask", "How often?", "--no-stream")
    terminals.append(terminal)
    assert terminal.finish() == 0
    assert terminal.shown.startswith("Every 500 hours [1].\n")
