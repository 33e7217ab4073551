"""Parsers come from one template process, which may disappear at any time."""

import errno
import os
import signal
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Thread

import psutil
import pytest

from ingest.errors import ParserKilled, Unreadable
from ingest.parsing.extraction import open_extraction
from ingest.parsing.forkserver import ForkServer
from ingest.sandbox import launch
from tests.ingest.parsing.executed import executed
from tests.live import wait_until
from tests.pdf_builder import simple_pdf


@pytest.fixture(scope="module")
def pdf(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return simple_pdf(tmp_path_factory.mktemp("pdf") / "a.pdf", "First page.", "Second page.")


@pytest.fixture(scope="module")
def long(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A document larger than a pipe holds, so that its parser works until all of it is read."""
    pages = ["A word after a word after a word. " * 40] * 200
    return simple_pdf(tmp_path_factory.mktemp("pdf") / "long.pdf", *pages)


@pytest.fixture
def server() -> Iterator[ForkServer]:
    made = ForkServer()
    yield made
    made.close()


def templates() -> set[int]:
    """The template processes of this process."""
    return {child.pid for child in psutil.Process().children() if "parsing.forkserver_main" in child.cmdline()}


def texts(pdf: Path, server: ForkServer) -> list[str]:
    with open_extraction(pdf, start=server.start) as extraction:
        return [page.text for page in extraction]


def test_many_readers_at_once_share_one_template(pdf: Path, server: ForkServer) -> None:
    before = templates()
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda _: texts(pdf, server), range(24)))
    assert found == [["First page.\n", "Second page.\n"]] * 24
    assert len(templates() - before) == 1


def test_a_parser_has_its_document_two_pipes_and_nothing_else(pdf: Path, long: Path, server: ForkServer) -> None:
    with open_extraction(pdf, start=server.start), open_extraction(long, start=server.start) as second:
        held = {os.readlink(number) for number in Path(f"/proc/{second._process.pid}/fd").iterdir()}
    assert held - {str(long)} == {name for name in held if name.startswith("pipe:")}
    assert len(held) == 3


def test_a_killed_template_ends_its_parsers_and_is_replaced(pdf: Path, long: Path, server: ForkServer) -> None:
    before = templates()
    with open_extraction(long, start=server.start) as extraction:
        (template,) = templates() - before
        os.kill(template, signal.SIGKILL)
        wait_until(lambda: not psutil.pid_exists(extraction._process.pid), "the parser to end")
        with pytest.raises(ParserKilled):
            list(extraction)
    assert len(texts(pdf, server)) == 2


def test_an_idle_template_exits_and_leaves_no_zombie(pdf: Path) -> None:
    server, before = ForkServer(idle_seconds=0.01), templates()
    assert len(texts(pdf, server)) == 2
    wait_until(lambda: not templates() - before, "the template to end")
    assert all(child.status() != psutil.STATUS_ZOMBIE for child in psutil.Process().children())
    assert len(texts(pdf, server)) == 2


def test_a_reader_outlives_the_thread_that_opened_it(pdf: Path, server: ForkServer) -> None:
    opened = []
    thread = Thread(target=lambda: opened.append(open_extraction(pdf, start=server.start)))
    thread.start()
    thread.join()
    with opened[0] as extraction:
        assert len(list(extraction)) == 2


def test_closing_ends_the_template_and_its_readers(pdf: Path, long: Path, server: ForkServer) -> None:
    before = templates()
    with open_extraction(long, start=server.start) as extraction:
        server.close()
        assert not templates() - before
        with pytest.raises(ParserKilled):
            list(extraction)
    assert len(texts(pdf, server)) == 2


def test_closing_a_reader_early_ends_its_process(long: Path, server: ForkServer) -> None:
    extraction = open_extraction(long, start=server.start)
    pid = extraction._process.pid
    extraction.close()
    assert not psutil.pid_exists(pid)
    assert extraction._process.returncode == -signal.SIGKILL


def test_a_template_that_does_not_answer_is_killed_and_replaced(pdf: Path, server: ForkServer) -> None:
    before = templates()
    assert len(texts(pdf, server)) == 2
    (template,) = templates() - before
    os.kill(template, signal.SIGSTOP)
    server._answer_seconds = 0.3
    with pytest.raises(Unreadable, match="does not answer"):
        texts(pdf, server)
    wait_until(lambda: not psutil.pid_exists(template), "the stopped template to end")
    server._answer_seconds = 60.0
    assert len(texts(pdf, server)) == 2


def test_closing_ends_a_template_that_is_stopped(
    pdf: Path, server: ForkServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(launch, "GRACE_SECONDS", 0.2)
    before = templates()
    assert len(texts(pdf, server)) == 2
    (template,) = templates() - before
    os.kill(template, signal.SIGSTOP)
    server.close()
    wait_until(lambda: not psutil.pid_exists(template), "the stopped template to end")


def test_a_failed_start_is_reported_and_does_not_prevent_a_later_one(
    pdf: Path, server: ForkServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    def nothing_left(*_: object) -> None:
        raise MemoryError

    with monkeypatch.context() as patched:
        patched.setattr(launch, "start", nothing_left)
        with pytest.raises(MemoryError):
            texts(pdf, server)
    with monkeypatch.context() as patched:
        patched.setattr(Thread, "start", _no_thread)
        with pytest.raises(Unreadable, match="new thread"):
            texts(pdf, server)
    server.close()
    assert len(texts(pdf, server)) == 2


def _no_thread(self: Thread) -> None:
    raise RuntimeError("can't start new thread")


def test_a_template_that_does_not_start_is_reported(pdf: Path) -> None:
    for server, error in (
        (ForkServer(("/no/such/python",)), errno.ENOENT),
        (ForkServer(("/bin/false",)), errno.ECHILD),
    ):
        with pytest.raises(OSError, match=r"No such|ended twice") as caught, pdf.open() as file:
            server.start(["{}", ""], file.fileno())
        assert caught.value.errno == error


def test_an_order_that_is_too_long_is_refused(pdf: Path) -> None:
    with pytest.raises(OSError, match="too long"), pdf.open() as file:
        ForkServer().start(["x" * 200_000], file.fileno())


def test_an_executed_reader_reports_how_it_ended(pdf: Path) -> None:
    with pdf.open() as file:
        process = executed("/bin/sh", "-c", "exit 7")([], file.fileno())
        assert process.wait(10) == 7
        process.close()
