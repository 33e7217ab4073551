"""A page's own words are found in the normalised passage."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.display.quote_search import find_quote


def test_white_space_and_line_breaks_do_not_matter() -> None:
    passage = "Keep it clean. Change the filter every 500 hours. Then rest."
    assert _found(passage, "Change the\nfilter  every 500\nhours.") == "Change the filter every 500 hours"


def test_a_hyphenated_word_is_found_joined() -> None:
    assert _found("hours of operation end", "hours of oper-\nation") == "hours of operation"


def test_ligatures_are_found_resolved() -> None:
    assert _found("the efficient filter", "eﬃcient ﬁlter") == "efficient filter"


@pytest.mark.parametrize("quote", ["", "  ", "—", "not in it"])
def test_a_quote_that_does_not_occur_is_not_found(quote: str) -> None:
    assert find_quote("some passage", quote) is None


@given(st.text(), st.text(min_size=1), st.text())
def test_a_literal_part_is_always_found_whole(before: str, quote: str, after: str) -> None:
    if not any(character.isalnum() for character in quote):
        return
    span = find_quote(before + quote + after, quote)
    if span is None:
        # combining marks may join the quote's edge to what stands around it
        assert find_quote(quote, quote) is None or before or after
    else:
        assert 0 <= span[0] < span[1] <= len(before + quote + after)


def _found(passage: str, quote: str) -> str | None:
    span = find_quote(passage, quote)
    return passage[slice(*span)] if span else None
