"""Whether a run is worse than earlier ones of the same kind. Pure.

Rule: a figure is compared with its median over the last ten comparable runs. It counts as worse when it is so by more
than 10 %, and by more than three times those runs' own spread (scaled median absolute deviation): machines differ in
how steady they are. With fewer than three earlier runs their spread is unknown and 25 % is the margin.
"""

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from pydantic import BaseModel, ConfigDict

from appliance.cli.benchmarking.figures import relative_spread
from appliance.cli.benchmarking.record import Record

LOOKED_BACK: Final = 10
_LEAST_MARGIN, _MARGIN_OF_FEW, _FEW, _SPREADS = 0.10, 0.25, 3, 3.0


class Regression(BaseModel):
    """A figure that is worse than before; `margin` is the share by which it may differ, `runs` how many went before."""

    model_config = ConfigDict(frozen=True)

    figure: str
    now: float
    before: float
    margin: float
    runs: int


@dataclass(frozen=True, slots=True)
class Figure:
    """One value of a run, and which way is better."""

    value: float
    more_is_better: bool


def regressions(record: Record, earlier: Sequence[Record]) -> list[Regression]:
    """What is worse in `record` than in the earlier runs, oldest first, that are comparable to it."""
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
    """The share by which a further run may be worse than the median of these without being called so."""
    if len(values) < _FEW:
        return _MARGIN_OF_FEW
    return max(_LEAST_MARGIN, _SPREADS * relative_spread(values))


def worse_by(figure: Figure, before: float) -> float:
    """By what share of `before` the figure is worse; negative if it is better."""
    if before <= 0:
        return 0.0
    change = (figure.value - before) / before
    return -change if figure.more_is_better else change


def headline(record: Record) -> Mapping[str, Figure]:
    """The figures that are watched, by the name under which a person reads them."""
    reading = record.reading
    figures: dict[str, float | None] = {
        "prompt tokens/s": reading.tokens_per_second,
        "first token, s": reading.first_token.p50,
        "first token with a known start, s": reading.cached_first_token.p50,
        "CPU s per 1,000 prompt tokens": reading.cpu_seconds_per_1000,
        "memory, bytes": record.memory.measured,
    }
    for one in record.answering:
        at = f"{one.clients} client{'s' if one.clients > 1 else ''}"
        figures[f"answer tokens/s at {at}"] = one.tokens_per_second
        figures[f"CPU s per 1,000 answer tokens at {at}"] = one.cpu_seconds_per_1000
    return {
        name: Figure(value, more_is_better="tokens/s" in name) for name, value in figures.items() if value is not None
    }
