"""Failures are retried at growing intervals; a document that may itself be the cause is given up."""

from itertools import pairwise

import pytest

from appliance.library.backoff import DELAYS, ENDINGS_ALLOWED, FAILED_AT, GIVEN_UP_AT, Cause, after_endings, delay, plan
from appliance.library.lanes import LANES, LONG_SECONDS, SMALL_BYTES, HeldDocument, may_take

OLDEST, SMALLEST, EXPRESS = LANES


def test_waits_grow_up_to_an_hour_and_stay_there() -> None:
    waits = [delay(failures, 0.5) for failures in range(1, 12)]
    assert tuple(waits[: len(DELAYS)]) == DELAYS
    assert all(one <= other for one, other in pairwise(waits))
    assert waits[-1] == DELAYS[-1]


def test_documents_that_failed_together_are_not_retried_together() -> None:
    assert delay(2, 0.0) < delay(2, 0.5) < delay(2, 1.0)


@pytest.mark.parametrize("cause", Cause)
def test_only_what_may_be_the_documents_own_fault_is_given_up(cause: Cause) -> None:
    given_up = [plan(cause, failures, 0.5).delay is None for failures in range(1, 20)]
    assert given_up == [cause is Cause.SUSPECT and failures >= GIVEN_UP_AT for failures in range(1, 20)]


def test_a_passing_failure_withdraws_no_text_and_a_lasting_one_fails_the_document() -> None:
    for failures in range(1, FAILED_AT):
        assert (plan(Cause.MOMENT, failures, 0).state, plan(Cause.MOMENT, failures, 0).withdrawn) == (
            "pending",
            "nothing",
        )
    assert (plan(Cause.MOMENT, FAILED_AT, 0).state, plan(Cause.MOMENT, FAILED_AT, 0).withdrawn) == (
        "failed",
        "outdated",
    )


def test_a_file_whose_permission_is_taken_away_stops_answering_at_once() -> None:
    assert plan(Cause.DENIED, 1, 0).withdrawn == "everything"


def test_a_document_that_ends_the_service_again_and_again_is_postponed_too() -> None:
    assert after_endings(ENDINGS_ALLOWED, 0.5) is None
    first, second = (after_endings(ENDINGS_ALLOWED + more, 0.5) for more in (1, 2))
    assert first is not None
    assert second is not None
    assert (first.delay, second.delay) == DELAYS[:2]


def held(lane: object, size: int, since: float = 0.0) -> HeldDocument:
    return HeldDocument(lane, size, since)  # type: ignore[arg-type]


def test_the_express_lane_works_only_while_both_others_are_held_up() -> None:
    large = SMALL_BYTES
    assert not may_take(EXPRESS, [], 0)
    assert not may_take(EXPRESS, [held(OLDEST, large)], 0)
    assert not may_take(EXPRESS, [held(OLDEST, large), held(SMALLEST, large - 1)], LONG_SECONDS - 1)
    assert may_take(EXPRESS, [held(OLDEST, large), held(SMALLEST, large - 1)], LONG_SECONDS)
    assert may_take(EXPRESS, [held(OLDEST, large), held(SMALLEST, large)], 0)
    assert may_take(OLDEST, [], 0)
