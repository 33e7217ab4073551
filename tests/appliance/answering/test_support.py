"""Support needs every number of the claim, and its words or its meaning."""

import pytest

from appliance.answering.support import best_support, numbers
from models.embedding.embedder import Embedder

PASSAGE = (
    "Maintenance\nEvery 500 hours: change the oil of the feed pump. It takes 1.1 litres of mineral oil.\n"
    "Total  $1,234.50  $9,476\nThe pump is painted green."
)


@pytest.mark.parametrize(
    ("claim", "quoted", "supported"),
    [
        ("The oil is changed every 500 hours", "Every 500 hours: change the oil of the feed pump.", True),
        ("The oil is changed every 600 hours", "Every 500 hours: change the oil of the feed pump.", False),
        ("The pump's colour is green", "The pump is painted green.", True),
        ("The total is 1234.5", "Total  $1,234.50  $9,476", True),
        ("Penguins live in Antarctica", None, False),
    ],
)
def test_a_claim_is_supported_by_its_numbers_and_its_words_or_meaning(
    embedder: Embedder, claim: str, quoted: str | None, supported: bool
) -> None:
    found = best_support(claim, PASSAGE, embedder)
    assert found is not None
    assert found.supported is supported
    assert 0.0 <= found.score <= 1.0
    if quoted:
        assert quoted in PASSAGE[found.start : found.end]


def test_two_sentences_may_support_one_claim(embedder: Embedder) -> None:
    found = best_support("Every 500 hours the oil is changed, which takes 1.1 litres", PASSAGE, embedder)
    assert found is not None
    assert found.supported


def test_an_empty_passage_supports_nothing(embedder: Embedder) -> None:
    assert best_support("anything", "", embedder) is None


def test_numbers_are_compared_by_value() -> None:
    assert numbers("$1,234.50, 2.0 and 3,000,000") == {"1234.5", "2", "3000000"}
