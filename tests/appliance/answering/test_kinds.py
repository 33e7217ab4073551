"""A question that asks for a number is answered by a number that says how much."""

import pytest

from appliance.answering.kinds import fits, has_figure
from appliance.answering.segments import readable, segments


@pytest.mark.parametrize("text", ["Total net sales  $82,959", "25 minutes", "36% of receivables", "-5°C", "0.7 Miles"])
def test_amounts_are_figures(text: str) -> None:
    assert has_figure(text)


@pytest.mark.parametrize(
    "text", ["the three-month period ended June 25, 2022", "Note 9", "(4) Includes sales", "E31 too hot", "Amazon S3", "12/06/2007"]
)  # fmt: skip
def test_dates_notes_and_codes_are_not_figures(text: str) -> None:
    assert not has_figure(text)


def test_a_row_named_as_in_the_question_fits_best() -> None:
    question = "What was total net sales for the three months ended June 25, 2022?"
    row, other, introduction = (
        "Total net sales  $82,959",
        "Products  $60,000",
        "Net sales for June 25, 2022 were as follows:",
    )
    assert fits(question, row) > fits(question, other) > fits(question, introduction)
    assert fits("How old was the pilot?", "Age:  48, Male") > fits("How old was the pilot?", "23 hours")


def test_a_number_of_the_question_does_not_answer_it() -> None:
    assert fits("How old was the pilot of the Cessna 152?", "The Cessna 152 landed.") < 0


def test_rows_above_the_figures_are_a_header() -> None:
    parts = segments("Case  On site  Back\nLift stands  4 hours  2 days\nTrapped  30 minutes  1 day")
    assert [part.is_header for part in parts] == [True, False, False]


def test_rows_with_keys_or_without_figures_are_not_a_header() -> None:
    texts = ("Certificate:  Private  Seat:  Left\nAge:  48  Hours:  12", "Oil low  Top up\nMotor hot  Let cool")
    assert not any(part.is_header for text in texts for part in segments(text))


def test_a_line_without_a_word_is_not_a_label() -> None:
    parts = segments("/\nAltimeter Setting:  30.3 inches Hg")
    assert readable(parts[-1]) == "Altimeter Setting: | 30.3 inches Hg"


def test_a_sentence_does_not_end_at_initials() -> None:
    parts = segments("The products infringe U.S. Patent 7. We disagree.")
    assert [part.text for part in parts] == ["The products infringe U.S. Patent 7.", "We disagree."]


def test_who_is_answered_by_a_name_that_the_question_lacks() -> None:
    question = "Who was the investigator in charge of the accident?"
    assert fits(question, "Investigator In Charge (IIC):  Jennifer S Kaiser") == 1
    assert fits(question, "The Investigator In Charge reported it.") == 0
