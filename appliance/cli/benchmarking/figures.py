"""Percentiles and spreads of measured values. Pure."""

import math
import statistics
from collections.abc import Sequence

from pydantic import BaseModel, ConfigDict

_TO_DEVIATION = 1.4826  # standard deviation / median absolute deviation of a normal distribution


class Percentiles(BaseModel):
    """The 50th, 95th and 99th percentile."""

    model_config = ConfigDict(frozen=True)

    p50: float
    p95: float
    p99: float


def percentile(values: Sequence[float], share: float) -> float:
    """The percentile at `share` (0 to 1), linear between neighbours (Hyndman and Fan's type 7, numpy's default).

    Raises:
        ValueError: there are no values.
    """
    if not values:
        raise ValueError("no values to take a percentile of")
    ordered = sorted(values)
    at = share * (len(ordered) - 1)
    below = math.floor(at)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (ordered[above] - ordered[below]) * (at - below)


def percentiles(values: Sequence[float]) -> Percentiles | None:
    """The three percentiles, or None without values."""
    if not values:
        return None
    return Percentiles(p50=percentile(values, 0.5), p95=percentile(values, 0.95), p99=percentile(values, 0.99))


def relative_spread(values: Sequence[float]) -> float:
    """The scaled median absolute deviation, as a share of the median.

    Unlike the standard deviation, one outlier does not move it.
    """
    middle = statistics.median(values)
    if middle == 0:
        return 0.0
    return _TO_DEVIATION * statistics.median(abs(value - middle) for value in values) / abs(middle)
