"""When a run counts as worse than those before."""

import statistics

from hypothesis import given, settings
from hypothesis import strategies as st

from appliance.cli.benchmarking.regression import margin, regressions
from tests.appliance.cli.benchmarking.builders import record


def test_a_slower_run_is_reported_with_every_figure_that_is_worse() -> None:
    found = {one.figure for one in regressions(record(80), [record(100), record(101), record(99)])}
    assert found == {
        "prompt tokens/s", "first token, s", "first token with a known start, s", "answer tokens/s at 1 client"
    }  # fmt: skip


def test_a_faster_run_is_none() -> None:
    assert regressions(record(200), [record(100)] * 5) == []


def test_runs_of_another_file_or_machine_do_not_count() -> None:
    assert regressions(record(10), [record(100, sha256="b"), record(100, machine="n")]) == []


def test_client_counts_that_were_not_measured_before_are_passed_over() -> None:
    earlier = [record(100, clients=(1,))] * 3
    figures = {one.figure for one in regressions(record(50, clients=(1, 4)), earlier)}
    assert "answer tokens/s at 1 client" in figures
    assert not any("4 clients" in figure for figure in figures)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.floats(min_value=1, max_value=1e4), min_size=1, max_size=10))
def test_a_run_at_the_median_of_the_earlier_ones_is_never_slower(speeds: list[float]) -> None:
    found = regressions(record(statistics.median(speeds)), [record(speed) for speed in speeds])
    assert not [one for one in found if "tokens/s" in one.figure]


def test_a_restless_machine_is_given_more_room() -> None:
    steady, restless = [100.0, 101, 99, 100], [100.0, 130, 70, 115, 85]
    assert margin(steady) == 0.10
    assert margin(restless) > 0.5
    assert regressions(record(80), [record(speed) for speed in steady])
    assert not regressions(record(80), [record(speed) for speed in restless])


def test_few_earlier_runs_allow_a_quarter() -> None:
    assert margin([100.0, 100.0]) == 0.25
    assert not regressions(record(81), [record(100)])
    assert regressions(record(74), [record(100)])


def test_old_runs_are_forgotten() -> None:
    assert not regressions(record(50), [record(100)] * 20 + [record(50)] * 10)
