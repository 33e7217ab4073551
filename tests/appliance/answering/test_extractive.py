"""Without a model the answer quotes sentences and rows, each cited, or says that the documents do not answer."""

import pytest

from appliance.answering.citations import Passages
from appliance.answering.extractive import NOT_FOUND, Extract, ExtractRequest, answer
from appliance.retrieval.search import Retriever
from appliance.store import Store
from models.embedding.embedder import Embedder
from tests.appliance.lending import OneModel
from tests.appliance.reports import MANUAL, own


@pytest.fixture(scope="module")
def ask(reports: Store, embedder: Embedder):  # type: ignore[no-untyped-def]
    retriever = Retriever(reports, OneModel(embedder))

    def run(question: str) -> Extract:
        found = retriever.search(question, k=8)
        hits = found.hits
        return answer(
            ExtractRequest(question, found.sought, found.sources),
            Passages([hit.passage for hit in hits], reports),
            [hit.score for hit in hits],
            embedder,
        )

    return run


@pytest.mark.parametrize(
    ("question", "words", "document", "page"),
    [
        ("How often is the oil of the feed pump changed?", "every 500 hours", "manuals/pump-p7.pdf", 2),
        ("what does alarm E31 mean", "E31 | Motor too hot | Let it cool", "manuals/pump-p7.pdf", 3),
        ("What torque do the base bolts need?", "Torque: Base bolt | 48 Nm", "manuals/pump-p7.pdf", 2),
        ("What did Contoso spend on property in Q2 2024?", "$744 million", "filings/CONTOSO_2024Q2_10Q.pdf", 2),
        ("Why are visitors accompanied?", "because the yard is dangerous", "visitors.pdf", 2),
    ],
)
def test_the_sentence_or_row_that_answers_is_quoted_and_cited(  # type: ignore[no-untyped-def]
    ask, question: str, words: str, document: str, page: int
) -> None:
    extract = ask(question)
    first = extract.citations[0]
    assert words in extract.text.splitlines()[0]
    assert extract.text.splitlines()[0].endswith(first.marker)
    assert (first.document, first.page, first.supported) == (document, page, True)


def test_a_sentence_that_refers_to_the_one_before_is_quoted_with_it(ask) -> None:  # type: ignore[no-untyped-def]
    assert "change the oil" in ask("How many litres of oil does it take?").text.lower()


def test_the_quote_is_the_pages_own_text(ask) -> None:  # type: ignore[no-untyped-def]
    page = own(MANUAL[2])
    citation = ask("what does alarm E31 mean").citations[0]
    assert citation.quote in page
    assert citation.boxes


@pytest.mark.parametrize("question", ["What is the capital of France?", "Who won the world cup in 1998?", "qwxz"])
def test_a_question_the_documents_do_not_answer_is_reported(ask, question: str) -> None:  # type: ignore[no-untyped-def]
    assert ask(question) == Extract(NOT_FOUND, [])


def test_without_passages_there_is_no_answer(reports: Store, embedder: Embedder) -> None:
    assert answer(ExtractRequest("anything", "anything"), Passages([], reports), [], embedder).citations == []


def test_a_question_about_an_unknown_firm_is_not_answered_from_anothers_report(ask) -> None:  # type: ignore[no-untyped-def]
    assert ask("What did Fabrikam spend on property in the second quarter of 2024?") == Extract(NOT_FOUND, [])


def test_a_question_about_one_firm_is_not_answered_from_anothers_report(ask) -> None:  # type: ignore[no-untyped-def]
    extract = ask("How much did Northwind spend on property in the quarter ended June 30, 2024?")
    assert {citation.document for citation in extract.citations} == {"filings/NORTHWIND_2024Q2_10Q.pdf"}
    assert "$422 million" in extract.text


def test_no_two_lines_say_the_same(ask) -> None:  # type: ignore[no-untyped-def]
    lines = [line.rsplit(" ", 1)[0] for line in ask("Why are visitors accompanied?").text.splitlines()]
    assert not any(one in other for one in lines for other in lines if one is not other)
