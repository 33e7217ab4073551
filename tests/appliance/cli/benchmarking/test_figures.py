"""Percentiles and spreads."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from appliance.cli.benchmarking.figures import percentile, percentiles, relative_spread

VALUES = st.lists(st.floats(min_value=1e-6, max_value=1e6), min_size=1, max_size=60)


@settings(max_examples=40, deadline=None)
@given(VALUES, st.floats(min_value=0, max_value=1))
def test_a_percentile_is_numpys(values: list[float], share: float) -> None:
    assert percentile(values, share) == pytest.approx(float(np.percentile(values, 100 * share)), rel=1e-9)


@settings(max_examples=40, deadline=None)
@given(VALUES)
def test_percentiles_lie_in_order_within_the_values(values: list[float]) -> None:
    found = percentiles(values)
    assert found is not None
    assert min(values) <= found.p50 <= found.p95 * (1 + 1e-12)
    assert found.p95 <= found.p99 * (1 + 1e-12)
    assert found.p99 <= max(values) * (1 + 1e-12)


def test_there_are_none_of_no_values() -> None:
    assert percentiles([]) is None
    with pytest.raises(ValueError, match="no values"):
        percentile([], 0.5)


@settings(max_examples=40, deadline=None)
@given(VALUES, st.floats(min_value=0.01, max_value=100))
def test_the_spread_does_not_depend_on_the_unit(values: list[float], unit: float) -> None:
    assert relative_spread([value * unit for value in values]) == pytest.approx(relative_spread(values), abs=1e-6)


def test_one_outlier_does_not_move_the_spread() -> None:
    assert relative_spread([100, 101, 99, 100, 100, 900]) < 0.02
