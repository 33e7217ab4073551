"""Retry policy for documents that could not be read. Pure.

Only what time may mend is retried, at growing intervals. A document that may itself be the cause, because it kills its
parser or runs into an unexpected error, is given up after some attempts; a disk error or a missing permission never is.
"""

from dataclasses import dataclass
from enum import Enum
from typing import Literal

from appliance.store.rows import Withdrawn

DELAYS = (5.0, 30.0, 180.0, 900.0, 3600.0)
"""Seconds before the next attempt after the first, second, ... failure in a row; the last holds for all later ones.

Chosen by eye, as are the numbers below.
"""

FAILED_AT = 3
"""From this failure in a row on, the document is `failed`; before, it is `pending` with the reason."""

GIVEN_UP_AT = 5
"""From this failure in a row on, a document that may itself be the cause is not retried."""

ENDINGS_ALLOWED = 4
"""How often the service may end while it reads one document, without progress, before the document is postponed too."""

_JITTER = 0.1  # of the delay, either way


class Cause(Enum):
    """The kind of a failure, by what may mend it."""

    DENIED = "denied"
    """A missing permission. The text read before must no longer answer: the permission may have been taken on purpose."""
    MOMENT = "moment"
    """The disk, memory, or a file that is being written: time may mend it."""
    SUSPECT = "suspect"
    """The document itself may be the cause, so time may not mend it."""


@dataclass(frozen=True, slots=True)
class Plan:
    """The state until the next attempt, what stops answering, and the seconds until then; None: no retry."""

    state: Literal["pending", "failed"]
    withdrawn: Withdrawn
    delay: float | None


def plan(cause: Cause, failures: int, chance: float) -> Plan:
    """What follows `failures` in a row; `chance`, from 0 to 1, spreads documents that failed together."""
    if cause is Cause.DENIED:
        return Plan("failed", "everything", delay(failures, chance))
    if cause is Cause.SUSPECT and failures >= GIVEN_UP_AT:
        return Plan("failed", "everything", None)
    if failures < FAILED_AT:
        return Plan("pending", "nothing", delay(failures, chance))
    return Plan("failed", "outdated", delay(failures, chance))


def after_endings(endings: int, chance: float) -> Plan | None:
    """What follows when the service has ended this often while reading one document; None: read on."""
    if endings <= ENDINGS_ALLOWED:
        return None
    return plan(Cause.MOMENT, endings - ENDINGS_ALLOWED, chance)


def delay(failures: int, chance: float) -> float:
    """Seconds from this failure in a row to the next attempt."""
    usual = DELAYS[min(max(failures, 1), len(DELAYS)) - 1]
    return usual * (1 + _JITTER * (2 * chance - 1))
