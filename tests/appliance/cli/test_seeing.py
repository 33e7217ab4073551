"""Progress on the command line, and pages as pictures."""

from itertools import count
from pathlib import Path

import pytest

from appliance import wire
from appliance.cli.reading_progress.added_files import Baseline, Tally
from appliance.cli.reading_progress.progress_display import LINE_SECONDS, Bars, Lines
from appliance.client import Client
from tests.appliance.cli.conftest import Run
from tests.fake_service import FakeService, document

HALF = wire.Progress(pages_done=50, pages_total=100, pages_per_second=5, seconds_left=10, estimated=True)


def test_the_list_and_the_status_tell_how_the_reading_gets_on(run: Run, service: FakeService) -> None:
    service.put(document("a.pdf", "indexing", pages=20, pages_done=5, rate=2.5, seconds_left=6))
    service.progress = HALF
    lines = run("documents", "list").out.splitlines()
    assert "5/20" in lines[1]
    assert lines[2] == "    2.5 pages/s, 6 s left"
    assert len(lines) == 3  # a single document's row says it all
    assert "reading    50 of about 100 pages, 5.0 pages/s, about 10 s left\n" in run("status").out
    assert run("status", "--json").json["progress"]["estimated"] is True
    assert run("documents", "list", "--json").json["documents"][0]["seconds_left"] == 6
    assert "progress    2.5 pages/s, 6 s left\n" in run("documents", "show", "a.pdf").out


def test_below_several_rows_the_list_has_no_page_count_that_could_contradict_them(
    run: Run, service: FakeService
) -> None:
    service.progress = HALF
    for name in ("a.pdf", "b.pdf"):
        service.put(document(name, "indexing", pages=20, pages_done=5))
    assert run("documents", "list").out.endswith("\n\nreading in all: 5.0 pages/s, about 10 s left\n")


def test_without_work_no_word_of_it(run: Run, service: FakeService) -> None:
    service.put(document("a.pdf"))
    assert "reading" not in run("documents", "list").out + run("status").out


def tally(*paths: str) -> Tally:
    """Counts files that were not there before; every call counts, since counting takes no time."""
    ticks = (second for second in count(step=100.0) for _ in range(2))
    return Tally("", dict.fromkeys(paths, Baseline(None)), lambda: next(ticks))


def test_where_no_terminal_is_a_line_comes_now_and_then(home: Path, service: FakeService) -> None:
    now, written = [0.0], list[str]()
    lines = Lines(lambda: now[0], tally("a.pdf"), written.append)
    service.progress = HALF
    reading = document("a.pdf", "indexing", pages=20, pages_done=5, rate=2.5, seconds_left=6)
    with Client(home / "docent.sock") as client:
        for second in (0, LINE_SECONDS - 1, LINE_SECONDS, 3 * LINE_SECONDS):  # the last says nothing new
            now[0] = second
            lines.show(client, "a.pdf", reading, service.status())
        now[0] = 5 * LINE_SECONDS
        lines.show(client, "a.pdf", None, service.status())
    whole = "; in all 50 of about 100 pages, 5.0 pages/s, about 10 s left"
    assert written == [f"a.pdf: 5/20 pages, 2.5 pages/s, 6 s left{whole}", f"a.pdf: waiting{whole}"]


def test_on_a_terminal_each_document_in_work_has_a_bar_and_all_have_one(home: Path, service: FakeService) -> None:
    from rich.progress import Progress

    service.progress = HALF
    service.put(document("a.pdf", "indexing", pages=20, pages_done=5))
    service.put(document("b.pdf", "indexing", pages=30, pages_done=6))
    with Client(home / "docent.sock") as client:
        bars = Progress(disable=True)
        shown = Bars(bars, tally("a.pdf", "b.pdf", "c.pdf"))
        shown.show(client, "c.pdf", None, service.status())
        seen = [(task.description, task.completed, task.total) for task in bars.tasks]
        assert seen == [("a.pdf", 5, 20), ("b.pdf", 6, 30), ("c.pdf", 0, None), ("added", 0, 3), ("in all", 50, 100)]
        service.put(document("a.pdf"))
        shown.show(client, "b.pdf", service.documents["d-b.pdf"], service.status())
        seen = [(task.description, task.completed, task.total) for task in bars.tasks]
        assert seen == [("b.pdf", 6, 30), ("added", 1, 3), ("in all", 50, 100)]


def test_other_users_files_in_the_queue_are_counted_separately(home: Path, service: FakeService) -> None:
    service.progress = HALF
    for name in ("x.pdf", "y.pdf", "z.pdf"):
        service.put(document(name, "pending", pages=None))
    service.put(document("a.pdf"))
    service.put(document("b.pdf", "pending", pages=None))
    now, written = [0.0], list[str]()
    lines = Lines(lambda: now[0], tally("a.pdf", "b.pdf"), written.append)
    now[0] = LINE_SECONDS
    with Client(home / "docent.sock") as client:
        lines.show(client, "b.pdf", service.documents["d-b.pdf"], service.status())
    others = "with all others in the queue 50 of about 100 pages, 5.0 pages/s, about 10 s left"
    assert written == [f"b.pdf: waiting; 1 of 2 files done; {others}"]


def test_the_list_of_a_long_collection_is_asked_for_less_often(home: Path, service: FakeService) -> None:
    now = iter((0.0, 2.0, 21.0, 23.0, 24.0))  # two seconds for a list, so that the next is due 20 s later
    counted = Tally("", dict.fromkeys(("a.pdf", "b.pdf"), Baseline(None)), lambda: next(now))
    with Client(home / "docent.sock") as client:
        counted.count(client)
        service.put(document("a.pdf"))
        counted.count(client)
        assert counted.done == 0
        counted.count(client)
        assert counted.done == 1


def test_unreadable_pages_are_shown_in_the_list_and_the_status(run: Run, service: FakeService) -> None:
    assert "unread" not in run("status").out
    service.put(document("a.pdf", pages_skipped=2))
    service.put(document("b.pdf"))
    lines = run("documents", "list").out.splitlines()
    assert lines[2] == "    2 pages could not be read"
    assert lines[-1] == "`docent documents show DOCUMENT` says why, and what to do about it."
    assert run("documents", "list", "--json").json["documents"][0]["pages_skipped"] == 2
    said = "2 pages of 1 document could not be read; `docent documents list` shows which"
    assert f"unread     {said}\n" in run("status").out
    assert run("status", "--json").json["skipped"] == {"documents": 1, "pages": 2}


def test_show_says_how_a_document_was_read(run: Run, service: FakeService) -> None:
    reading = wire.Reading(
        sha256="ab" * 32, extractor=3, chunker=2, template=1, complete=True, author="A.\x1b[31m Writer", language="de",
        sources=wire.Sources(text=8, ocr=1, skipped=1), tables=12, warnings=["page 3 could not be read"],
    )  # fmt: skip
    service.put(document("a.pdf", reading=reading))
    out = run("documents", "show", "a.pdf").out
    for line in (
        "read        8 from their text, 1 by text recognition, 1 unreadable",
        "warning     page 3 could not be read",
        "tables      12 rows",
        "author      A. Writer",
        "language    de",
        f"revision    {'ab' * 32} (extractor 3, chunker 2, template 1)",
    ):
        assert line in out.splitlines()
    assert run("documents", "show", "a.pdf", "--json").json["reading"]["sources"]["ocr"] == 1


def test_a_page_is_drawn_into_a_file(run: Run, service: FakeService, tmp_path: Path) -> None:
    service.put(document("a.pdf"))
    file = tmp_path / "page.png"
    result = run("documents", "show", "a.pdf", "--page", "4", "--png", str(file), "--chunk", "c7", "--quote", "Wörter")
    assert result.out == f"page 4 of a.pdf: {file} (1190 × 1684 pixels, 24 B)\n"
    assert file.read_bytes() == service.page
    assert service.asked == [{"page": "4", "dpi": "144", "chunk_id": "c7", "quote": "Wörter"}]
    assert list(tmp_path.iterdir()) == [file]


def test_the_json_of_a_saved_page_names_its_file(run: Run, service: FakeService, tmp_path: Path) -> None:
    service.put(document("a.pdf"))
    file = tmp_path / "page.png"
    drawn = run("documents", "show", "a.pdf", "--page", "4", "--png", str(file), "--dpi", "100", "--json").json
    assert drawn == {
        "document": "a.pdf", "page": 4, "file": str(file), "width": 1190, "height": 1684, "dpi": 100, "size": 24,
    }  # fmt: skip


def test_a_file_is_overwritten_only_by_force(run: Run, service: FakeService, tmp_path: Path) -> None:
    service.put(document("a.pdf"))
    file = tmp_path / "page.png"
    file.write_text("mine")
    arguments = ("documents", "show", "a.pdf", "--page", "4", "--png", str(file))
    result = run(*arguments)
    assert (result.code, file.read_text(), service.asked) == (5, "mine", [])
    assert "--force" in result.err
    assert run(*arguments, "--force").code == 0
    assert file.read_bytes() == service.page


def test_an_unwritable_file_is_an_error(run: Run, service: FakeService, tmp_path: Path) -> None:
    service.put(document("a.pdf"))
    result = run("documents", "show", "a.pdf", "--page", "4", "--png", str(tmp_path / "no" / "page.png"))
    assert result.code == 1
    assert "No such file or directory" in result.err


def test_a_refused_page_leaves_no_file(run: Run, service: FakeService, tmp_path: Path) -> None:
    service.put(document("a.pdf"))
    body = wire.ErrorBody(message="it changed", type="conflict_error", code="file_changed", hint="wait")
    service.refusal = (409, body)
    result = run("documents", "show", "a.pdf", "--page", "4", "--png", str(tmp_path / "page.png"))
    assert (result.code, list(tmp_path.iterdir())) == (5, [])


def test_what_is_no_picture_is_not_written(run: Run, service: FakeService, tmp_path: Path) -> None:
    service.put(document("a.pdf"))
    service.page = b"<html>"
    result = run("documents", "show", "a.pdf", "--page", "4", "--png", str(tmp_path / "page.png"))
    assert (result.code, list(tmp_path.iterdir())) == (1, [])
    assert "it is not a picture of a page" in result.err


@pytest.mark.parametrize(
    "given", [("--page", "4"), ("--png", "x.png"), ("--chunk", "c1"), ("--force",), ("--dpi", "72")]
)
def test_half_of_what_a_picture_needs_is_a_misuse(run: Run, service: FakeService, given: tuple[str, ...]) -> None:
    service.put(document("a.pdf"))
    assert run("documents", "show", "a.pdf", *given).code == 2
