"""Summarises the timings of single requests. Pure."""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from appliance.cli.benchmarking.figures import Percentiles, percentiles
from appliance.cli.benchmarking.record import Answering, Reading


@dataclass(frozen=True, slots=True)
class Sample:
    """One request: when it was sent and when each piece of text arrived, on one clock, and the service's own figures.

    `prefill_s` and `decode_s` are the model's times without waiting; None if the service does not report them.
    """

    sent: float
    arrivals: tuple[float, ...]
    ended: float
    prompt_tokens: int
    answer_tokens: int
    prefill_s: float | None = None
    decode_s: float | None = None

    @property
    def first_token(self) -> float:
        """Seconds until the first text, or until the end of an answer without text."""
        return (self.arrivals[0] if self.arrivals else self.ended) - self.sent

    @property
    def total(self) -> float:
        return self.ended - self.sent

    @property
    def gaps(self) -> list[float]:
        """Seconds between arrivals."""
        return [after - before for before, after in pairwise(self.arrivals)]

    @property
    def decode_rate(self) -> float | None:
        """Tokens per second after the first token; None without a second one."""
        seconds = self.decode_s
        if seconds is None:
            seconds = self.ended - self.sent - self.first_token
        return (self.answer_tokens - 1) / seconds if self.answer_tokens > 1 and seconds > 0 else None


def reading(cold: Sequence[Sample], cached: Sequence[Sample], cpu_seconds: float | None) -> Reading:
    """Summarises prompts read one at a time; `cpu_seconds` is the total of the cold ones.

    Raises:
        ValueError: there are no samples.
    """
    tokens = [sample.prompt_tokens for sample in cold]
    rates = [sample.prompt_tokens / (sample.prefill_s or sample.first_token) for sample in cold]
    return Reading(
        requests=len(cold),
        prompt_tokens=round(statistics.median(tokens)),
        tokens_per_second=statistics.median(rates),
        first_token=_needed([sample.first_token for sample in cold]),
        cached_first_token=_needed([sample.first_token for sample in cached]),
        cpu_seconds_per_1000=per_thousand(cpu_seconds, sum(tokens)),
    )


def answering(
    clients: int, rounds: Sequence[Sequence[Sample]], cpu_seconds: float | None, cpu_per_1000_read: float | None
) -> Answering:
    """Summarises rounds of `clients` simultaneous requests each.

    Raises:
        ValueError: there are no samples.
    """
    samples = [sample for one in rounds for sample in one]
    rates = [rate for sample in samples if (rate := sample.decode_rate) is not None]
    tokens = sum(sample.answer_tokens for sample in samples)
    reading_cpu = (cpu_per_1000_read or 0.0) * sum(sample.prompt_tokens for sample in samples) / 1000
    left = None if cpu_seconds is None else max(0.0, cpu_seconds - reading_cpu)
    return Answering(
        clients=clients,
        requests=len(samples),
        answer_tokens=tokens,
        tokens_per_second=statistics.median(throughput(one) for one in rounds),
        decode_tokens_per_second=statistics.median(rates) if rates else None,
        first_token=_needed([sample.first_token for sample in samples]),
        between_tokens=percentiles([gap for sample in samples for gap in sample.gaps]),
        total=_needed([sample.total for sample in samples]),
        cpu_seconds_per_1000=per_thousand(left, tokens),
    )


def throughput(samples: Sequence[Sample]) -> float:
    """Tokens of all answers per second, from the first request to the last end."""
    seconds = max(sample.ended for sample in samples) - min(sample.sent for sample in samples)
    return sum(sample.answer_tokens for sample in samples) / seconds if seconds > 0 else 0.0


def per_thousand(seconds: float | None, tokens: int) -> float | None:
    """Seconds per thousand tokens; None if the seconds are unknown or there are no tokens."""
    return None if seconds is None or tokens == 0 else 1000 * seconds / tokens


def _needed(values: Sequence[float]) -> Percentiles:
    found = percentiles(values)
    if found is None:
        raise ValueError("nothing was measured")
    return found
