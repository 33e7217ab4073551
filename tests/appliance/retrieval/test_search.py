"""The retriever on a real store with the real embedding model."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from appliance.retrieval.search import Hit, Retriever
from appliance.store import EmbedderKey, Store
from models.embedding.embedder import Embedder
from tests.appliance.lending import OneModel


@pytest.fixture(scope="module")
def retriever(reports: Store, embedder: Embedder) -> Retriever:
    return Retriever(reports, OneModel(embedder))


def where(hit: Hit) -> tuple[str, int]:
    return hit.passage.path.decode(), hit.passage.page


@pytest.mark.parametrize("firm", ["Northwind", "Contoso"])
@pytest.mark.parametrize("quarter", ["Q1", "Q2"])
@pytest.mark.parametrize(
    "question",
    [
        "What was the capital expenditure of {firm} in {quarter} 2024?",
        "{firm}'s {quarter} FY2024 capex",
        "how much did {lower} spend on property and equipment in {quarter} of 2024",
    ],
)
def test_among_similar_reports_the_named_one_is_found(
    retriever: Retriever, firm: str, quarter: str, question: str
) -> None:
    found = retriever.search(question.format(firm=firm, lower=firm.lower(), quarter=quarter), k=5)
    assert where(found.hits[0]) == (f"filings/{firm.upper()}_2024{quarter}_10Q.pdf", 2)


def test_a_question_that_names_no_document_is_answered_by_content(retriever: Retriever) -> None:
    assert where(retriever.search("how often do I change the oil", k=3).hits[0]) == ("manuals/pump-p7.pdf", 2)


def test_each_page_comes_once_and_k_limits_the_hits(retriever: Retriever) -> None:
    hits = retriever.search("report", k=7).hits
    assert len(hits) == 7
    assert len({where(hit) for hit in hits}) == 7
    assert [hit.score for hit in hits] == sorted((hit.score for hit in hits), reverse=True)


def test_only_the_given_collections_are_searched(retriever: Retriever) -> None:
    hits = retriever.search("Northwind capital spending", k=20, collections=frozenset({b"manuals"})).hits
    assert {hit.passage.collection for hit in hits} == {b"manuals"}
    assert retriever.search("Northwind", k=5, collections=frozenset()).hits == []


@pytest.mark.parametrize("query", ["", "?", "  ", "\x00", "\u200b"])
def test_a_query_without_a_word_finds_nothing(retriever: Retriever, query: str) -> None:
    assert retriever.search(query, k=5).hits == []


@pytest.mark.parametrize(
    "query", ["who is it", '" OR "', "NEAR(", "x\ud800y oil", "oil " * 4000, "word" * 4000, "€ 🙂 oil"]
)
def test_unusual_queries_are_searched_like_any_other(retriever: Retriever, query: str) -> None:
    retriever.search(query, k=5)


def test_every_step_is_timed(retriever: Retriever) -> None:
    timings = retriever.search("oil", k=1).timings
    assert set(timings) == {"embed", "match", "nearest", "rank", "total"}
    assert timings["total"] >= max(value for name, value in timings.items() if name != "total")


@pytest.fixture
def empty(tmp_path: Path, embedder: Embedder) -> Iterator[Store]:
    key = EmbedderKey(embedder.identity, embedder.name, embedder.dimensions)
    with Store.open(tmp_path / "docent.db", embedder=key, embed_name=embedder.embed_passage) as store:
        yield store


def test_an_empty_index_finds_nothing(empty: Store, embedder: Embedder) -> None:
    assert Retriever(empty, OneModel(embedder)).search("anything at all", k=5).hits == []
