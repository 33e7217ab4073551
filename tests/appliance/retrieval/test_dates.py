"""A day in a question is searched for as a whole, in any spelling."""

import pytest

from appliance.retrieval.dates import days
from appliance.retrieval.query import parse
from appliance.retrieval.sources import naming_words


@pytest.mark.parametrize("text", ["ended May 1, 2022", "on 1 May 2022", "the 1st of May 2022", "May 1st, 2022"])
def test_a_day_has_one_set_of_spellings(text: str) -> None:
    assert days(text) == [("may 1 2022", "1 may 2022", "may 1 2022", "1 may 2022")]


def test_abbreviated_months_are_recognised() -> None:
    assert "september 3 2021" in days("as of Sept. 3, 2021")[0]


def test_a_day_without_a_year_is_not_a_day() -> None:
    assert days("in May 2022, or on May 1") == []


def test_a_day_that_no_title_has_names_no_source() -> None:
    question = parse("What were sales in the quarter ended May 1, 2022?")
    named = {word.text for word in naming_words(question, [" report 2022 q3 period ended june 25 2022 "])}
    assert "2022" not in named
    assert "2022" in {word.text for word in naming_words(question, [" quarter ended may 1 2022 "])}
