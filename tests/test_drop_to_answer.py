"""The main job end to end: a PDF in the library gives cited answers over the socket."""

import json
import unicodedata
from pathlib import Path

import pymupdf
import pytest

from appliance import wire
from tests.conftest import SAMPLES
from tests.live import Live

QUESTIONS = json.loads((SAMPLES / "questions.json").read_text(encoding="utf-8"))


def folded(text: str) -> str:
    return " ".join(unicodedata.normalize("NFKC", text).casefold().split())


def page_text(document: str, page: int) -> str:
    with pymupdf.open(SAMPLES / document) as pdf:
        return str(pdf[page - 1].get_text("text"))


@pytest.mark.parametrize("item", QUESTIONS, ids=lambda item: item["question"][:40])
def test_search_finds_the_answering_page_among_the_first_five(answering: Live, item: dict[str, object]) -> None:
    found = answering.client.search(str(item["question"]), k=5).results
    assert (item["document"], item["page"]) in [(hit.document, hit.page) for hit in found]


def test_nearly_every_answer_contains_the_fact_and_cites_its_page(answering: Live) -> None:
    right = 0
    for item in QUESTIONS:
        answer = answering.client.ask(wire.AskRequest(question=item["question"]))
        cited = {(citation.document, citation.page) for citation in answer.citations}
        right += folded(item["answer"]) in folded(answer.answer) and (item["document"], item["page"]) in cited
    assert right >= 0.75 * len(QUESTIONS)


def test_every_quote_is_the_pages_own_text_character_for_character(answering: Live) -> None:
    for item in QUESTIONS:
        for citation in answering.client.ask(wire.AskRequest(question=item["question"])).citations:
            assert citation.quote in page_text(citation.document, citation.page)


def test_every_box_lies_on_its_page_and_covers_the_words_of_the_quote(answering: Live) -> None:
    answer = answering.client.ask(wire.AskRequest(question=QUESTIONS[0]["question"]))
    for citation in answer.citations:
        assert citation.boxes
        with pymupdf.open(SAMPLES / citation.document) as pdf:
            under = " ".join(pdf[page - 1].get_textbox(pymupdf.Rect(box)) for page, *box in citation.boxes)
            assert all(pymupdf.Rect(box) in pdf[page - 1].rect for page, *box in citation.boxes)
        assert set(citation.quote.split()) <= set(under.split())


def test_a_streamed_answer_ends_with_the_text_of_its_tokens(answering: Live) -> None:
    events = list(answering.client.ask_stream(wire.AskRequest(question=QUESTIONS[0]["question"], stream=True)))
    assert [event.type for event in events[:1]] == ["passages"]
    done = events[-1]
    assert isinstance(done, wire.DoneEvent)
    assert "".join(event.text for event in events if isinstance(event, wire.TokenEvent)) == done.answer
    assert done.model == "extractive"
    assert done.finish_reason == "stop"


def test_a_question_that_no_document_answers_gets_no_citation(answering: Live) -> None:
    answer = answering.client.ask(wire.AskRequest(question="Wer gewann die Fußballweltmeisterschaft 1954?"))
    assert answer.citations == []
    assert answer.answer


def test_search_answers_within_one_collection_only(live: Live) -> None:
    content = Path(SAMPLES / "cold-store-safety-policy.pdf").read_bytes()
    live.drop("safety/policy.pdf", content)
    (live.library / "empty").mkdir()
    question = "How long may a person work alone in a freezer room?"
    assert {hit.collection for hit in live.client.search(question, collection="safety").results} == {"safety"}
    assert live.client.search(question, collection="empty").results == []
