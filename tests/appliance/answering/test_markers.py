"""Only markers that name a passage pass the filter, however the text is split into pieces."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.answering.markers import Claim, MarkerFilter, claims


def filtered(*pieces: str, passages: int = 3) -> str:
    markers = MarkerFilter(passages)
    return "".join([*(markers.feed(piece) for piece in pieces), markers.flush()])


@pytest.mark.parametrize(
    ("written", "shown"),
    [
        ("Oil is low [1].", "Oil is low [1]."),
        ("Oil is low [7].", "Oil is low."),
        ("Oil is low [1, 7].", "Oil is low [1]."),
        ("Both [1,2] and [1-3].", "Both [1][2] and [1][2][3]."),
        ("Named [Passage 2] and [source #3].", "Named [2] and [3]."),
        ("Zero [0] and [99999].", "Zero and [99999]."),
        ("A list [a, b] and [x] stay.", "A list [a, b] and [x] stay."),
        ("Open [1", "Open [1"),
        ("[5][5][2]", "[2]"),
        ("An array a[1] = b[9]", "An array a[1] = b"),
        ("", ""),
    ],
)
def test_markers_are_normalised_and_invented_ones_removed(written: str, shown: str) -> None:
    assert filtered(written) == shown
    assert filtered(*written) == shown


TEXT = st.text(st.sampled_from("ab .\n[]123,-#"), max_size=60)


@given(text=TEXT, cuts=st.lists(st.integers(0, 60), max_size=8))
def test_where_the_pieces_are_cut_changes_nothing(text: str, cuts: list[int]) -> None:
    edges = [0, *sorted(min(cut, len(text)) for cut in cuts), len(text)]
    pieces = [text[a:b] for a, b in pairwise(edges)]
    assert filtered(*pieces) == filtered(text)


@given(text=TEXT)
def test_every_claim_names_a_passage_that_was_given(text: str) -> None:
    assert all(1 <= claim.passage <= 3 for claim in claims(filtered(text)) if claim.passage < 1000)


def test_text_without_brackets_is_not_held_back() -> None:
    markers = MarkerFilter(3)
    assert markers.feed("The oil is") == "The oil is"
    assert markers.feed(" low [1") == " low"
    assert markers.feed("]. Then") == " [1]. Then"


def test_a_claim_is_the_sentence_before_its_marker() -> None:
    answer = "It is changed often. Every 500 hours [1]. It takes 1.1 litres.[2][3]\nMineral oil [1]"
    assert claims(answer) == [
        Claim("Every 500 hours", 1),
        Claim("It takes 1.1 litres.", 2),
        Claim("It takes 1.1 litres.", 3),
        Claim("Mineral oil", 1),
    ]
