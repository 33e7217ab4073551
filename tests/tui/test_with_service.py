"""The interface and the real service, end to end."""

import pytest

from tests.live import Live
from tests.tui.driving import keys, shown, until
from tui.app import DocentApp
from tui.screens.citation import CitationScreen
from tui.widgets.answer_view import AnswerView
from tui.widgets.citation_list import CitationList
from tui.widgets.document_table import DocumentTable


@pytest.mark.parametrize("size", [(80, 24), (200, 50)])
async def test_a_question_is_answered_and_its_citation_opens_on_its_page(
    answering: Live, size: tuple[int, int]
) -> None:
    app = DocentApp(answering.places.socket)
    async with app.run_test(size=size) as pilot:
        await pilot.press(*keys("At what pressure does the relief valve open?"), "enter")
        await until(pilot, lambda: app.screen.query_one(CitationList).option_count)
        assert "69 bar" in app.screen.query_one(AnswerView).text
        await pilot.press("down", "enter")
        await until(pilot, lambda: isinstance(app.screen, CitationScreen))
        assert shown(pilot, "#citation-place").startswith("tideline-400-watermaker-manual.pdf, page 1")
        assert "The relief valve opens at 69 bar" in shown(pilot, "#citation-text")


async def test_the_library_shows_the_services_documents(answering: Live) -> None:
    app = DocentApp(answering.places.socket)
    async with app.run_test() as pilot:
        await pilot.press("f3")
        await until(pilot, lambda: app.screen.query_one(DocumentTable).row_count == 4)
        assert shown(pilot, "#status").startswith("● ready  4 indexed")
