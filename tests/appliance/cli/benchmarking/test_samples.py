"""Summaries of single requests."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from appliance.cli.benchmarking.samples import Sample, answering, per_thousand, reading, throughput
from tests.appliance.cli.benchmarking.builders import sample


def test_the_first_token_is_counted_from_the_sending_and_gaps_between_pieces() -> None:
    one = sample(sent=5.0, first=2.0, tokens=3, gap=0.25)
    assert one.first_token == pytest.approx(2.0)
    assert one.gaps == pytest.approx([0.25, 0.25])
    assert one.total == pytest.approx(2.5)
    assert one.decode_rate == pytest.approx(4.0)


def test_an_answer_without_text_counts_until_its_end_and_has_no_rate() -> None:
    empty = Sample(1.0, (), 3.0, prompt_tokens=5, answer_tokens=0)
    assert (empty.first_token, empty.gaps, empty.decode_rate) == (2.0, [], None)


@settings(max_examples=40, deadline=None)
@given(st.integers(min_value=1, max_value=8), st.floats(min_value=0.01, max_value=10))
def test_throughputs_of_simultaneous_clients_add_up(clients: int, first: float) -> None:
    alone = throughput([sample(first=first)])
    assert throughput([sample(first=first) for _ in range(clients)]) == pytest.approx(clients * alone)


def test_throughputs_of_clients_that_wait_for_each_other_do_not_add_up() -> None:
    assert throughput([sample(sent=0.0), sample(sent=2.0)]) == pytest.approx(throughput([sample()]))


def test_reading_prompts_is_left_out_of_what_an_answer_costs() -> None:
    found = answering(2, [[sample(), sample()]], cpu_seconds=3.1, cpu_per_1000_read=10.0)
    assert found.cpu_seconds_per_1000 == pytest.approx(1000 * (3.1 - 2 * 100 * 0.01) / 22)


def test_the_models_own_reading_time_takes_precedence_over_the_time_seen_from_outside() -> None:
    told = Sample(0.0, (2.0,), 2.0, prompt_tokens=100, answer_tokens=1, prefill_s=0.5)
    assert reading([told], [told], None).tokens_per_second == 200.0
    assert reading([sample(first=2.0)], [told], None).tokens_per_second == 50.0


def test_unknown_cpu_time_stays_unknown() -> None:
    assert per_thousand(None, 10) is None
    assert answering(1, [[sample()]], None, None).cpu_seconds_per_1000 is None
