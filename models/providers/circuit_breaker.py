"""A circuit breaker: refuses calls to a provider that keeps failing. Pure; the clock is injected.

States: `closed` lets every call through. Enough failures, or too slow a 95th percentile of the time to the first token,
within the window open it: calls are refused at once, with the reason. After `open_s` it is `half_open`: `probes` calls
are let through; if all succeed it closes, and one failure opens it again. See Nygard, Release It!, chapter 5.
Rule: a call counts only in the period in which it was let through, so a straggler neither opens nor closes the breaker.
"""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from models.providers.interface import BreakerLimits

BreakerState = Literal["closed", "open", "half_open"]


@dataclass(frozen=True, slots=True)
class Permit:
    """Permission for one call, valid in its period."""

    period: int
    probe: bool


@dataclass(frozen=True, slots=True)
class _Ended:
    at: float
    failure: str | None
    first_token_s: float | None


class Breaker:
    """Each permit must be ended exactly once: by `succeeded`, `failed` or `abandoned`."""

    def __init__(self, limits: BreakerLimits, clock: Callable[[], float]) -> None:
        self._limits = limits
        self._clock = clock
        self._ended: deque[_Ended] = deque()
        self._period = 0
        self._opened_at: float | None = None
        self._why = ""
        self._probing = 0
        self._good_probes = 0

    @property
    def state(self) -> BreakerState:
        if self._opened_at is None:
            return "closed"
        return "open" if self._clock() - self._opened_at < self._limits.open_s else "half_open"

    @property
    def reason(self) -> str | None:
        """Why it is not closed; None while it is."""
        return self._why or None

    @property
    def retry_s(self) -> float:
        """Seconds until calls are let through again; 0 if they are already, or if probes are running."""
        return 0.0 if self._opened_at is None else max(0.0, self._opened_at + self._limits.open_s - self._clock())

    def admit(self) -> Permit | None:
        """A permit to call, or None; `reason` says why."""
        state = self.state
        if state == "closed":
            return Permit(self._period, probe=False)
        if state == "open" or self._probing + self._good_probes >= self._limits.probes:
            return None
        self._probing += 1
        return Permit(self._period, probe=True)

    def succeeded(self, permit: Permit, first_token_s: float | None = None) -> None:
        """End the permit of a call that was answered, its first token after this time."""
        self._end(permit, None, first_token_s)

    def failed(self, permit: Permit, why: str) -> None:
        """End the permit of a call that got no answer, or half of one."""
        self._end(permit, why, None)

    def abandoned(self, permit: Permit, waited_s: float = 0.0) -> None:
        """End the permit of a call cancelled before its first token: counts only if the wait itself was too long."""
        if self._is_slow(waited_s):
            self._end(permit, None, waited_s)
        elif permit.period == self._period and permit.probe:
            self._probing -= 1

    def _end(self, permit: Permit, failure: str | None, first_token_s: float | None) -> None:
        if permit.period != self._period:
            return
        if permit.probe:
            self._probing -= 1
            self._judge_probe(failure, first_token_s)
            return
        self._ended.append(_Ended(self._clock(), failure, first_token_s))
        if why := self._verdict():
            self._open(why)

    def _judge_probe(self, failure: str | None, first_token_s: float | None) -> None:
        if failure is not None:
            self._open(failure)
        elif first_token_s is not None and self._is_slow(first_token_s):
            self._open(f"its first token took {first_token_s:.1f} s")
        else:
            self._good_probes += 1
            if self._good_probes >= self._limits.probes:
                self._close()

    def _verdict(self) -> str:
        """The reason to open, or an empty text."""
        limits, now = self._limits, self._clock()
        while self._ended and now - self._ended[0].at > limits.window_s:
            self._ended.popleft()
        calls = len(self._ended)
        if calls < limits.min_calls:
            return ""
        failures = [one.failure for one in self._ended if one.failure is not None]
        if failures and len(failures) >= limits.failure_rate * calls:
            return f"{len(failures)} of its last {calls} answers failed, the last one: {failures[-1]}"
        times = sorted(one.first_token_s for one in self._ended if one.first_token_s is not None)
        if len(times) >= limits.min_calls and self._is_slow(slow := percentile_95(times)):
            return f"the 95th percentile of its times to the first token is {slow:.1f} s, over {limits.slow_s:g} s"
        return ""

    def _is_slow(self, seconds: float) -> bool:
        return 0 < self._limits.slow_s < seconds

    def _open(self, why: str) -> None:
        self._new_period()
        self._opened_at, self._why = self._clock(), why

    def _close(self) -> None:
        self._new_period()
        self._opened_at, self._why = None, ""

    def _new_period(self) -> None:
        self._period += 1
        self._ended.clear()
        self._probing = self._good_probes = 0


def percentile_95(ordered: list[float]) -> float:
    """The 95th percentile of at least one number in ascending order.

    Takes the lower neighbour, so that a single outlier is never the percentile.
    """
    return ordered[int(0.95 * (len(ordered) - 1))]
