"""What becomes of a document that could not be read: pure, told what kind of failure it was and how often it came.

Only what time may mend is tried again by itself, ever more seldom. A document that may itself be the cause, as it ends
its reader or runs into an error that nobody foresaw, is given up after some attempts; a disk or a right is not.
"""

from dataclasses import dataclass
from enum import Enum
from typing import Literal

from appliance.store.rows import Withdrawn

DELAYS = (5.0, 30.0, 180.0, 900.0, 3600.0)
"""Seconds before the next attempt after the first, second, ... failure in a row; the last holds for all later ones."""

TOLD_AT = 3
"""From this failure on the document is told as failed; before, it is pending, with the reason."""

GIVEN_UP_AT = 5
ENDINGS_ALLOWED = 4
"""How often the service may end while it reads one document, without getting on, before the document waits too."""

_JITTER = 0.1


class Cause(Enum):
    """What may mend a failure."""

    DENIED = "denied"
    """A right: somebody's doing. What was read before must not answer any longer."""
    MOMENT = "moment"
    """The disk, memory, a file that is being written: time."""
    SUSPECT = "suspect"
    """Perhaps time, perhaps nothing: the document itself may be to blame."""


@dataclass(frozen=True, slots=True)
class Plan:
    """The state until the next attempt, what stops answering, and the seconds until then; None: never by itself."""

    state: Literal["pending", "failed"]
    withdrawn: Withdrawn
    delay: float | None


def plan(cause: Cause, failures: int, chance: float) -> Plan:
    """After `failures` in a row; `chance`, from 0 to 1, spreads documents that failed together."""
    if cause is Cause.DENIED:
        return Plan("failed", "everything", delay(failures, chance))
    if cause is Cause.SUSPECT and failures >= GIVEN_UP_AT:
        return Plan("failed", "everything", None)
    if failures < TOLD_AT:
        return Plan("pending", "nothing", delay(failures, chance))
    return Plan("failed", "outdated", delay(failures, chance))


def after_endings(endings: int, chance: float) -> Plan | None:
    """For a document during whose reading the service has ended this often; None: go on with it."""
    if endings <= ENDINGS_ALLOWED:
        return None
    return plan(Cause.MOMENT, endings - ENDINGS_ALLOWED, chance)


def delay(failures: int, chance: float) -> float:
    """Seconds from the given failure to the next attempt."""
    usual = DELAYS[min(max(failures, 1), len(DELAYS)) - 1]
    return usual * (1 + _JITTER * (2 * chance - 1))
