"""Records what the manager decided and why, for administrators. Keeps the newest decisions, in order.

Rule: every reservation, eviction, refusal, wait and death is one `Decision`; no code reads them to decide anything.
"""

import logging
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final, Literal

_log = logging.getLogger(__name__)
_KEPT: Final = 200

Kind = Literal[
    "reserved",  # memory was set aside for a load
    "loaded",
    "failed",  # a load, a preload or a swap
    "waited",  # a request has to wait for memory
    "refused",  # a request can never be met, or timed out
    "evicted",  # unloaded to make room, or because memory is short
    "unloaded",  # on request, after long idleness, or because its file is gone
    "trimmed",  # adapters or a prompt cache were freed
    "grew",  # a process holds more than was reserved for it
    "died",
    "pressure",  # memory became short, or is no longer
    "pinned",
    "unpinned",
    "swapped",  # a new version of the same model took over
]
_LEVELS: Final[Mapping[Kind, int]] = {
    "loaded": logging.INFO,
    "evicted": logging.INFO,
    "unloaded": logging.INFO,
    "swapped": logging.INFO,
    "grew": logging.INFO,
    "pressure": logging.WARNING,
    "failed": logging.WARNING,
    "died": logging.WARNING,
}


@dataclass(frozen=True, slots=True)
class Decision:
    """One decision. `time` is in seconds since 1970, `devices` the bytes concerned, `cause` the model it is for."""

    number: int
    time: float
    kind: Kind
    model: str
    why: str
    cause: str = ""
    devices: Mapping[str, int] = field(default_factory=dict)


class DecisionLog:
    """The newest decisions, oldest first. Only touched by the event loop's thread."""

    def __init__(
        self, publish: Callable[[Decision], None] = lambda _: None, now: Callable[[], float] = time.time
    ) -> None:
        self._publish = publish
        self._now = now
        self._kept: deque[Decision] = deque(maxlen=_KEPT)
        self._number = 0

    def note(
        self, kind: Kind, model: str, why: str, *, cause: str = "", devices: Mapping[str, int] | None = None
    ) -> Decision:
        """Record, log and publish a decision."""
        self._number += 1
        made = Decision(self._number, self._now(), kind, model, why, cause, dict(devices or {}))
        self._kept.append(made)
        _log.log(_LEVELS.get(kind, logging.DEBUG), "%s", sentence(made))
        self._publish(made)
        return made

    def newest(self, count: int = _KEPT) -> tuple[Decision, ...]:
        """The last `count` decisions, oldest first."""
        return tuple(self._kept)[-count:] if count else ()

    def last(self, *kinds: Kind) -> Decision | None:
        """The newest decision of these kinds."""
        return next((one for one in reversed(self._kept) if one.kind in kinds), None)


def sentence(decision: Decision) -> str:
    """A decision as a line of the log."""
    model, why = f"the model {decision.model}", decision.why
    match decision.kind:
        case "loaded":
            return f"loaded {model} {why}"
        case "evicted" | "unloaded":
            return f"unloading {model}: {why}"
        case "died":
            return f"the process of {model} has died: {why}"
        case "failed":
            return why
        case "pressure":
            return f"memory pressure: {why}"
        case kind:
            return f"{model} {kind}: {why}"
