"""The Ask screen, driven by keys against a service on a real socket."""

import shlex

import pytest
from textual.widgets import Select

from appliance import wire
from tests.fake_service import FakeService, citation, document, passage
from tests.tui.driving import keys, shown, until
from tui.app import DocentApp
from tui.screens.citation import CitationScreen, command_to_see, marked_passage
from tui.widgets.answer_view import AnswerView
from tui.widgets.citation_list import CitationList

SIZES = [(80, 24), (200, 50)]


@pytest.mark.parametrize("size", SIZES)
async def test_a_question_is_answered_and_its_citation_opens(
    app: DocentApp, service: FakeService, size: tuple[int, int]
) -> None:
    async with app.run_test(size=size) as pilot:
        await pilot.press(*keys("How often?"), "enter")
        citations = app.screen.query_one(CitationList)
        await until(pilot, lambda: citations.option_count == 1)
        assert app.screen.query_one(AnswerView).text == "Every 500 hours [1]."
        await pilot.press("down", "enter")
        await until(pilot, lambda: isinstance(app.screen, CitationScreen))
        assert shown(pilot, "#citation-place") == "manual.pdf, page 3\nCare › Filters"
        assert "Use only part 4711" in shown(pilot, "#citation-text")
        await pilot.press("escape")
        assert not isinstance(app.screen, CitationScreen)
    assert service.asked == [{"question": "How often?", "adapters": [], "stop": [], "stream": True}]


async def test_while_documents_are_read_the_screen_says_that_answers_may_be_incomplete(
    app: DocentApp, service: FakeService
) -> None:
    async with app.run_test() as pilot:
        assert not app.screen.query_one("#indexing").display
        service.progress = wire.Progress(pages_done=41, pages_total=200, pages_per_second=5, seconds_left=30)
        for name in ("a.pdf", "b.pdf"):
            service.put(document(name, "indexing"))
        service.put(document("c.pdf", "pending"))
        service.publish_status()
        words = "Indexing 3 documents, 41 of 200 pages, 30 s left. Answers may be incomplete."
        await until(pilot, lambda: shown(pilot, "#indexing") == words)
        assert app.screen.query_one("#indexing").display


async def test_an_answer_without_a_quote_says_that_nothing_was_found(app: DocentApp, service: FakeService) -> None:
    service.citations, service.tokens = [], ["The documents do not answer this question."]
    async with app.run_test() as pilot:
        await pilot.press(*keys("How often?"), "enter")
        await until(pilot, lambda: shown(pilot, "#byline") == "Nothing found to quote (no language model), 0.5 s.")


def test_the_quote_is_marked_within_its_passage() -> None:
    found = passage("Keep clean. Change the filter every 500 hours. Rest.")
    marked = marked_passage(citation("Change the\nfilter every 500 hours"), found)
    assert [marked.plain[span.start : span.end] for span in marked.spans] == ["Change the filter every 500 hours"]


def test_a_quote_that_is_not_in_its_passage_is_shown_above_it() -> None:
    marked = marked_passage(citation("Other words"), passage("The passage."))
    assert marked.plain == "Other words\n\nThe passage."


@pytest.mark.parametrize("key", ["escape", "ctrl+c"])
async def test_the_answer_appears_while_it_is_written_and_a_key_stops_it(
    app: DocentApp, service: FakeService, key: str
) -> None:
    service.hold.clear()
    async with app.run_test() as pilot:
        await pilot.press(*keys("Why?"), "enter")
        view = app.screen.query_one(AnswerView)
        await until(pilot, lambda: view.text == "Every ")
        assert shown(pilot, "#byline") == "Writing from 1 passage …"
        await pilot.press(key)
        await until(pilot, service.cancelled.is_set)
        assert shown(pilot, "#byline") == "Stopped."
        assert view.text == "Every "


def test_a_citation_says_how_to_see_its_page() -> None:
    command = command_to_see(citation("words", document="it's a manual.pdf", chunk_id="c7", page=4))
    assert shlex.split(command) == [
        "docent", "documents", "show", "it's a manual.pdf", "--page", "4", "--chunk", "c7", "--png", "page.png",
    ]  # fmt: skip


async def test_a_single_citation_offers_no_next(app: DocentApp, service: FakeService) -> None:
    async with app.run_test() as pilot:
        for number in (1, 2):
            service.citations = [citation("words", f"[{index}]") for index in range(number)]
            await pilot.press(*keys("Why?"), "enter")
            citations = app.screen.query_one(CitationList)
            await until(pilot, lambda wanted=number, shown=citations: shown.option_count == wanted)
            await pilot.press("down", "enter")
            await until(pilot, lambda: isinstance(app.screen, CitationScreen))
            offered = {active.binding.description for active in app.screen.active_bindings.values()}
            assert ("Next" in offered) == (number > 1)
            await pilot.press("escape")
            await pilot.press("escape")


async def test_quotes_of_one_page_share_its_marker(app: DocentApp, service: FakeService) -> None:
    service.citations = [citation("one"), citation("two"), citation("three", "[2]", page=4)]
    async with app.run_test() as pilot:
        await pilot.press(*keys("Why?"), "enter")
        citations = app.screen.query_one(CitationList)
        await until(pilot, lambda: citations.option_count == 3)
        lines = [str(citations.get_option_at_index(index).prompt) for index in range(3)]
        assert lines == ["[1] manual.pdf, page 3\n    “one”", "    “two”", "[2] manual.pdf, page 4\n    “three”"]


async def test_a_models_answer_without_a_citation_carries_a_warning(app: DocentApp, service: FakeService) -> None:
    service.answered_by, service.citations = "tiny", []
    async with app.run_test() as pilot:
        await pilot.press(*keys("Why?"), "enter")
        await until(pilot, lambda: "cites no page: check it yourself" in shown(pilot, "#byline"))


async def test_quitting_cancels_the_running_answer(app: DocentApp, service: FakeService) -> None:
    service.hold.clear()
    async with app.run_test() as pilot:
        await pilot.press(*keys("Why?"), "enter")
        await until(pilot, lambda: app.screen.query_one(AnswerView).text)
        await pilot.press("ctrl+q")
    assert service.cancelled.wait(5)


async def test_a_new_question_cancels_the_one_before_it(app: DocentApp, service: FakeService) -> None:
    service.hold.clear()
    async with app.run_test() as pilot:
        await pilot.press(*keys("One"), "enter")
        await until(pilot, lambda: app.screen.query_one(AnswerView).text)
        service.hold.set()
        await pilot.press(*keys("Two"), "enter")
        await until(pilot, lambda: app.screen.query_one(CitationList).option_count)
        assert shown(pilot, "#question") == "Two"
        assert app.screen.query_one(AnswerView).text == "Every 500 hours [1]."


async def test_escape_sequences_and_markup_of_a_document_are_shown_as_plain_text(
    app: DocentApp, service: FakeService
) -> None:
    service.tokens = ["\x1b]0;owned\x07[bold]A\x1b[31m", "B[/bold] \u202egnp"]
    service.citations = [citation("[red]x\x1b[2J[/red]", document="e\x1b[31mvil[b].pdf")]
    async with app.run_test() as pilot:
        await pilot.press(*keys("Q"), "enter")
        citations = app.screen.query_one(CitationList)
        await until(pilot, lambda: citations.option_count)
        assert app.screen.query_one(AnswerView).text == "[bold]AB[/bold] gnp"
        assert str(citations.get_option_at_index(0).prompt) == "[1] evil[b].pdf, page 3\n    “[red]x[/red]”"


async def test_an_answer_that_breaks_off_says_so(app: DocentApp, service: FakeService) -> None:
    service.error = wire.ErrorBody(message="the model crashed", type="server_error", code="model_crashed")
    async with app.run_test() as pilot:
        await pilot.press(*keys("Q"), "enter")
        await until(pilot, lambda: "broke off" in shown(pilot, "#byline"))


async def test_a_refused_question_shows_reason_and_hint(app: DocentApp, service: FakeService) -> None:
    body = wire.ErrorBody(
        message="no model is called x", type="not_found_error", code="model_not_found", hint="load it"
    )
    service.refusal = (404, body)
    async with app.run_test() as pilot:
        await pilot.press(*keys("Q"), "enter")
        await until(pilot, lambda: shown(pilot, "#byline") == "No answer: no model is called x\nload it")


async def test_the_chosen_model_answers(app: DocentApp, service: FakeService) -> None:
    service.models = [
        wire.Model(id="qwen", kind="gguf", state="installed", architecture="qwen2", size=1, sha256="a"),
        wire.Model(id="MiniLM", kind="embedding", state="loaded", architecture="bert", size=1, sha256="b"),
    ]
    async with app.run_test() as pilot:
        select = app.screen.query_one("#model", Select)
        await until(pilot, lambda: "qwen" in {value for _, value in select._options})
        assert "MiniLM" not in {value for _, value in select._options}
        await pilot.press("tab", "enter", "down", "enter", "shift+tab", *keys("Q"), "enter")
        await until(pilot, lambda: service.asked)
    assert service.asked[0]["model"] == "qwen"


async def test_up_recalls_an_earlier_question(app: DocentApp, service: FakeService) -> None:
    async with app.run_test() as pilot:
        await pilot.press(*keys("One"), "enter", *keys("Two"), "enter", "up", "up", "enter")
        await until(pilot, lambda: len(service.asked) == 3 or shown(pilot, "#question") == "One")
    assert service.asked[-1]["question"] == "One"


async def test_a_long_answer_is_followed_until_the_reader_scrolls_up(app: DocentApp, service: FakeService) -> None:
    service.tokens = [f"line {number}\n" for number in range(100)]
    async with app.run_test() as pilot:
        view = app.screen.query_one(AnswerView)
        await pilot.press(*keys("Q"), "enter")
        await until(pilot, lambda: view.max_scroll_y > 50 and view.scroll_y == view.max_scroll_y)
        view.scroll_up(animate=False)
        place = view.scroll_y
        view.append("more\n" * 10)
        await until(pilot, lambda: view.text.endswith("more\n") and view.max_scroll_y > place + 5)
        assert view.scroll_y <= place


async def test_enter_without_a_question_opens_a_citation_if_there_is_one(app: DocentApp, service: FakeService) -> None:
    async with app.run_test() as pilot:
        await pilot.press("enter")
        assert not isinstance(app.screen, CitationScreen)
        await pilot.press(*keys("Q"), "enter")
        await until(pilot, lambda: app.screen.query_one(CitationList).option_count)
        await pilot.press("enter")
        await until(pilot, lambda: isinstance(app.screen, CitationScreen))


async def test_f2_returns_to_the_question_from_any_screen(app: DocentApp, service: FakeService) -> None:
    async with app.run_test() as pilot:
        question = app.screen.query_one("#input")
        await pilot.press("tab")
        assert not question.has_focus
        await pilot.press("f2")
        assert question.has_focus
        await pilot.press(*keys("Why?"), "enter")
        citations = app.screen.query_one(CitationList)
        await until(pilot, lambda: citations.option_count == 1)
        await pilot.press("down", "enter")
        await until(pilot, lambda: isinstance(app.screen, CitationScreen))
        await pilot.press("f2")
        await until(pilot, lambda: question.has_focus)
        assert not isinstance(app.screen, CitationScreen)
