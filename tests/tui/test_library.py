"""The Library screen, driven by keys against a service on a real socket."""

from typing import Any

import pytest
from textual.pilot import Pilot

from appliance import wire
from tests.fake_service import FakeService, document
from tests.tui.driving import shown, until
from tui.app import DocentApp
from tui.screens.confirm import ConfirmScreen
from tui.widgets.document_table import COLUMNS, DocumentTable, progress_bar


async def test_documents_are_listed_by_path_with_their_state(app: DocentApp, service: FakeService) -> None:
    service.put(document("b.pdf"))
    service.put(document("a/c.pdf", "failed"))
    async with app.run_test() as pilot:
        assert await rows(pilot, 2) == [["a/c.pdf", "failed", "10"], ["b.pdf", "indexed", "10"]]


async def test_progress_is_live(app: DocentApp, service: FakeService) -> None:
    service.put(document("a.pdf", "indexing", pages=100, pages_done=1))
    async with app.run_test() as pilot:
        await rows(pilot, 1)
        service.put(document("a.pdf", "indexing", pages=100, pages_done=50))
        await until(pilot, lambda: cells(pilot)[0][2].endswith(" 50/100"))
        service.put(document("new.pdf", "pending", pages=None))
        await rows(pilot, 2)
        service.drop("d-a.pdf")
        assert await rows(pilot, 1) == [["new.pdf", "pending", ""]]


async def test_speed_and_time_left_are_shown_for_each_document_and_for_all(
    app: DocentApp, service: FakeService
) -> None:
    service.progress = wire.Progress(
        pages_done=50, pages_total=100, pages_per_second=5, seconds_left=10, estimated=True
    )
    service.put(document("a.pdf", "indexing", pages=20, pages_done=5, rate=2.5, seconds_left=6))
    async with app.run_test(size=(160, 40)) as pilot:
        found = await rows(pilot, 1)
        assert "2.5 pages/s, 6 s left" in found[0]
        bar = "━" * 10 + "─" * 10
        whole = f"Library: all (1)   {bar} 50 of about 100 pages, 5.0 pages/s, about 10 s left"
        await until(pilot, lambda: shown(pilot, "#library-title") == whole)
        assert "5 of 20 pages, 2.5 pages/s, 6 s left" in shown(pilot, "#document-detail")


@pytest.mark.parametrize(
    ("width", "pages", "ending"),
    [
        (80, 100, "   50 of about 100 pages, about 2 h 5 min left"),
        (90, 100, "─ 50 of about 100 pages, about 2 h 5 min left"),
        (80, 123_456, "   50 of about 123,456 pages, about 2 h 5 min left"),
        (160, 123_456, "50 of about 123,456 pages, 5.0 pages/s, about 2 h 5 min left"),
    ],
)
async def test_the_time_left_is_not_cut_off(
    app: DocentApp, service: FakeService, width: int, pages: int, ending: str
) -> None:
    service.progress = wire.Progress(
        pages_done=50, pages_total=pages, pages_per_second=5, seconds_left=7500, estimated=True
    )
    service.put(document("a.pdf", "indexing"))
    async with app.run_test(size=(width, 24)) as pilot:
        await rows(pilot, 1)
        await until(pilot, lambda: shown(pilot, "#library-title").endswith(ending))
        assert len(shown(pilot, "#library-title")) <= width - 2


async def test_documents_being_indexed_come_first_among_those_in_progress(app: DocentApp, service: FakeService) -> None:
    for name, state in (("a.pdf", "pending"), ("b.pdf", "indexing"), ("c.pdf", "pending"), ("d.pdf", "indexed")):
        service.put(document(name, state))
    async with app.run_test() as pilot:
        await rows(pilot, 4)
        await pilot.press("f", "f")
        assert [row[0] for row in await rows(pilot, 3)] == ["b.pdf", "a.pdf", "c.pdf"]
        table(pilot).move_cursor(row=1)
        service.put(document("c.pdf", "indexing"))
        await until(pilot, lambda: [row[0] for row in cells(pilot)] == ["b.pdf", "c.pdf", "a.pdf"])
        selected = table(pilot).selected
        assert selected is not None
        assert selected.document == "a.pdf"
        await pilot.press("f")
        assert [row[0] for row in await rows(pilot, 4)] == ["a.pdf", "b.pdf", "c.pdf", "d.pdf"]


async def test_unreadable_pages_are_shown_and_can_be_retried(app: DocentApp, service: FakeService) -> None:
    service.put(document("a.pdf"))
    service.put(document("scan.pdf", pages_skipped=2))
    async with app.run_test() as pilot:
        assert (await rows(pilot, 2))[1][2] == "10, 2 unread"
        assert shown(pilot, "#library-title") == "Library: all (2)   2 pages could not be read"
        await pilot.press("f")
        assert [row[0] for row in await rows(pilot, 1)] == ["scan.pdf"]
        await until(pilot, lambda: "`docent documents show d-scan.pdf` says why" in shown(pilot, "#document-detail"))
        await pilot.press("r")
        await until(pilot, lambda: service.actions == [("retry", "d-scan.pdf")])


def test_the_bar_fills_with_the_pages() -> None:
    assert progress_bar(document(state="indexing", pages=10, pages_done=10)).plain == "━━━━━━━━━━ 10/10"
    assert progress_bar(document(state="indexing", pages=0, pages_done=0)).plain == "────────── 0/0"
    assert progress_bar(document(pages=1234)).plain == "1,234"


async def test_a_failed_document_says_why_and_can_be_retried(app: DocentApp, service: FakeService) -> None:
    service.put(document("scan.pdf", "failed", reason="no page carries text", hint="run OCR on it"))
    async with app.run_test() as pilot:
        await rows(pilot, 1)
        assert shown(pilot, "#document-detail") == "scan.pdf\nno page carries text\n→ run OCR on it"
        await pilot.press("r")
        await until(pilot, lambda: cells(pilot)[0][1] == "pending")
    assert service.actions == [("retry", "d-scan.pdf")]


async def test_an_indexed_document_cannot_be_retried(app: DocentApp, service: FakeService) -> None:
    service.put(document("a.pdf"))
    async with app.run_test() as pilot:
        await rows(pilot, 1)
        await pilot.press("r")
        assert "r" not in app.screen.active_bindings
    assert service.actions == []


@pytest.mark.parametrize("key", ["n", "escape"])
async def test_delete_asks_and_no_keeps_the_file(app: DocentApp, service: FakeService, key: str) -> None:
    service.put(document("a.pdf"))
    async with app.run_test() as pilot:
        await rows(pilot, 1)
        await pilot.press("d")
        await until(pilot, lambda: isinstance(app.screen, ConfirmScreen))
        await pilot.press(key)
        await until(pilot, lambda: not isinstance(app.screen, ConfirmScreen))
    assert service.actions == []


async def test_delete_confirmed_removes_the_document(app: DocentApp, service: FakeService) -> None:
    service.put(document("a.pdf"))
    service.put(document("b.pdf"))
    async with app.run_test() as pilot:
        await rows(pilot, 2)
        await pilot.press("down", "d")
        await until(pilot, lambda: isinstance(app.screen, ConfirmScreen))
        await pilot.press("y")
        assert [row[0] for row in await rows(pilot, 1)] == ["a.pdf"]
    assert service.actions == [("remove", "d-b.pdf")]


async def test_the_filter_shows_only_failed_documents(app: DocentApp, service: FakeService) -> None:
    service.put(document("a.pdf"))
    service.put(document("b.pdf", "failed"))
    async with app.run_test() as pilot:
        await rows(pilot, 2)
        await pilot.press("f")
        assert [row[0] for row in await rows(pilot, 1)] == ["b.pdf"]


async def test_a_wide_terminal_shows_more_columns(app: DocentApp, service: FakeService) -> None:
    service.put(document("a.pdf"))
    async with app.run_test(size=(200, 50)) as pilot:
        found = await rows(pilot, 1)
        assert [cell.strip() for cell in found[0]] == [
            "a.pdf",
            "indexed",
            "10",
            "",
            "42",
            "12.1 KiB",
            "2026-03-01 10:00",
        ]
        await pilot.resize_terminal(80, 24)
        await until(pilot, lambda: len(cells(pilot)[0]) == 3)


def test_a_small_file_is_not_rounded_to_nothing() -> None:
    size = next(column for column in COLUMNS if column.key == "Size")
    assert size.cell(document(size=12)).plain.strip() == "12 B"


async def test_an_empty_library_says_what_to_do(app: DocentApp, service: FakeService) -> None:
    async with app.run_test() as pilot:
        await rows(pilot, 0)
        await until(pilot, lambda: "docent add FILE" in shown(pilot, "#document-detail"))


async def rows(pilot: Pilot[Any], number: int) -> list[list[str]]:
    """The library's rows, once there are `number` of them."""
    if not pilot.app.screen.query(DocumentTable):
        await pilot.press("f3")
    await until(pilot, lambda: table(pilot).row_count == number and shown(pilot, "#document-detail"))
    return cells(pilot)


def table(pilot: Pilot[Any]) -> DocumentTable:
    return pilot.app.screen.query_one(DocumentTable)


def cells(pilot: Pilot[Any]) -> list[list[str]]:
    found = table(pilot)
    return [[cell.plain for cell in found.get_row_at(row)] for row in range(found.row_count)]
