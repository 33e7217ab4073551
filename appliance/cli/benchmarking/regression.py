"""Finds figures that are worse than in earlier comparable runs. Pure.

Rule: a figure is compared with its median over the last ten comparable runs. It counts as worse if it is worse by more
than 10 %, and by more than three times those runs' own spread (scaled median absolute deviation), since some machines
are steadier than others. With fewer than three earlier runs the spread is unknown and the margin is 25 %.
"""

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from pydantic import BaseModel, ConfigDict

from appliance.cli.benchmarking.figures import relative_spread
from appliance.cli.benchmarking.record import Record

LOOKED_BACK: Final = 10
MEMORY_FIGURE: Final = "memory, bytes"
_LEAST_MARGIN, _MARGIN_OF_FEW, _FEW, _SPREADS = 0.10, 0.25, 3, 3.0


class Regression(BaseModel):
    """A figure that became worse. `margin` is the share by which it may differ, `runs` the number of earlier runs."""

    model_config = ConfigDict(frozen=True)

    figure: str
    now: float
    before: float
    margin: float
    runs: int


@dataclass(frozen=True, slots=True)
class Figure:
    """One value of a run, and whether more is better."""

    value: float
    more_is_better: bool


def regressions(record: Record, earlier: Sequence[Record]) -> list[Regression]:
    """The figures of `record` that are worse than in the comparable ones of `earlier`, which is oldest first."""
    before = [headline(one) for one in earlier if record.comparable(one)][-LOOKED_BACK:]
    found = []
    for name, figure in headline(record).items():
        values = [one[name].value for one in before if name in one]
        if values and worse_by(figure, statistics.median(values)) > (allowed := margin(values)):
            found.append(
                Regression(
                    figure=name, now=figure.value, before=statistics.median(values), margin=allowed, runs=len(values)
                )
            )
    return found


def margin(values: Sequence[float]) -> float:
    """The share by which a run may be worse than the median of `values` without counting as worse."""
    if len(values) < _FEW:
        return _MARGIN_OF_FEW
    return max(_LEAST_MARGIN, _SPREADS * relative_spread(values))


def worse_by(figure: Figure, before: float) -> float:
    """How much worse the figure is, as a share of `before`; negative if it is better."""
    if before <= 0:
        return 0.0
    change = (figure.value - before) / before
    return -change if figure.more_is_better else change


def headline(record: Record) -> Mapping[str, Figure]:
    """The compared figures by the name that people see."""
    reading = record.reading
    figures: dict[str, float | None] = {
        "prompt tokens/s": reading.tokens_per_second,
        "first token, s": reading.first_token.p50,
        "first token with a known start, s": reading.cached_first_token.p50,
        "CPU s per 1,000 prompt tokens": reading.cpu_seconds_per_1000,
        MEMORY_FIGURE: record.memory.measured,
    }
    for one in record.answering:
        at = f"{one.clients} client{'s' if one.clients > 1 else ''}"
        figures[f"answer tokens/s at {at}"] = one.tokens_per_second
        figures[f"CPU s per 1,000 answer tokens at {at}"] = one.cpu_seconds_per_1000
    return {
        name: Figure(value, more_is_better="tokens/s" in name) for name, value in figures.items() if value is not None
    }
