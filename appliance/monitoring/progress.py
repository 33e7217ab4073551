"""How fast documents are read, and how long the rest takes. Pure: the clock is given, the store is told of, not asked.

`SlidingRate` is the core: amounts over the last minute, or over the last few reports where these lie farther apart, as
with pages that are recognised. A run begins when something is read after a rest; its pages are counted by collection,
so that nobody learns from a figure what happens in a collection that is closed to them.
"""

import threading
import time
from collections import deque
from collections.abc import Callable, Collection
from dataclasses import dataclass, field

from appliance import wire
from appliance.store.rows import DocumentRow, WorkLeft

WINDOW_SECONDS = 60.0
REST_SECONDS = 10.0
"""With nothing being read for so long, what is read next is another run."""

_FEWEST_REPORTS = 3
_SOONEST_SECONDS = 0.5

Clock = Callable[[], float]


class SlidingRate:
    """Amounts a second. Each amount counts as made in the time since the one before it, the first since `begin`."""

    def __init__(self, begin: float) -> None:
        self._since = begin
        self._reports: deque[tuple[float, float]] = deque()

    def add(self, now: float, amount: float) -> None:
        """`amount` more was done by `now`; the reports of one second count as one."""
        if self._reports and int(self._reports[-1][0]) == int(now):
            amount += self._reports.pop()[1]
        self._reports.append((now, amount))

    def per_second(self, now: float) -> float | None:
        """The rate up to now, falling while nothing comes; None as long as nothing can be said."""
        while len(self._reports) > _FEWEST_REPORTS and self._reports[0][0] <= now - WINDOW_SECONDS:
            self._since = self._reports.popleft()[0]
        if not self._reports or now - self._since < _SOONEST_SECONDS:
            return None
        return sum(amount for _, amount in self._reports) / (now - self._since)


@dataclass(frozen=True, slots=True)
class DocumentPace:
    """Pages a second of one document, and seconds until its last page; None where nothing can be said yet."""

    rate: float | None = None
    seconds_left: float | None = None


STANDING = DocumentPace()


@dataclass(slots=True)
class _Reading:
    """A document that is being read."""

    collection: bytes
    pages_done: int
    rate: SlidingRate


@dataclass(slots=True)
class _Run:
    """Of one collection: pages read since the run began."""

    rate: SlidingRate
    pages: int = 0


@dataclass(slots=True)
class ReadingPace:
    """Told of every change of a document; from any thread."""

    clock: Clock = time.monotonic
    _readings: dict[str, _Reading] = field(default_factory=dict)  # these three guarded by _lock
    _runs: dict[bytes, _Run] = field(default_factory=dict)
    _last: float = float("-inf")
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def observe(self, document: str, row: DocumentRow | None) -> None:
        """A document changed, or is gone."""
        with self._lock:
            now = self.clock()
            reading = self._readings.get(document)
            if row is not None and (row.state == "indexing" or (reading and row.state == "indexed")):
                self._advance(now, row, reading)
            if row is None or row.state != "indexing":
                self._readings.pop(document, None)

    def _advance(self, now: float, row: DocumentRow, reading: _Reading | None) -> None:
        if not self._readings and now - self._last > REST_SECONDS:
            self._runs.clear()
        self._last = now
        if reading is None or row.pages_done < reading.pages_done:  # what was committed before is nobody's speed
            self._readings[row.id] = _Reading(row.collection, row.pages_done, SlidingRate(now))
            self._runs.setdefault(row.collection, _Run(SlidingRate(now)))
            return
        done = row.pages_done - reading.pages_done
        if done:
            run = self._runs.setdefault(row.collection, _Run(SlidingRate(now)))
            run.pages += done
            run.rate.add(now, done)
            reading.rate.add(now, done)
            reading.pages_done = row.pages_done

    def of(self, row: DocumentRow) -> DocumentPace:
        """How a document gets on; empty unless it is being read."""
        with self._lock:
            reading = self._readings.get(row.id)
            rate = reading.rate.per_second(self.clock()) if reading and row.state == "indexing" else None
        left = row.pages - row.pages_done
        return DocumentPace(_rounded(rate), _seconds(left, rate) if row.pages else None)

    def overall(self, work: WorkLeft, collections: Collection[bytes] | None = None) -> wire.Progress | None:
        """How the given collections get on, whose queue is `work`; None with nothing to do."""
        if not work.documents:
            return None
        with self._lock:
            now = self.clock()
            runs = [run for name, run in self._runs.items() if collections is None or name in collections]
            rates = [rate for run in runs if (rate := run.rate.per_second(now)) is not None]
            done = sum(run.pages for run in runs)
        rate = sum(rates) if rates else None
        left, known = pages_left(work)
        return wire.Progress(
            pages_done=done,
            pages_total=done + left,
            pages_per_second=_rounded(rate),
            seconds_left=_seconds(left, rate) if known else None,
            estimated=work.unopened > 0,
        )


def pages_left(work: WorkLeft) -> tuple[int, bool]:
    """Pages still to be read, and whether that can be said at all.

    Files that were not opened yet are taken to have as many bytes a page as those that were; without any to go by, they
    count as a page each, and nothing can be said.
    """
    if not work.unopened:
        return work.pages, True
    if not work.known_pages or not work.known_bytes:
        return work.pages + work.unopened, False
    guessed = work.unopened_bytes * work.known_pages / work.known_bytes
    return work.pages + max(work.unopened, round(guessed)), True


def _seconds(pages: int, rate: float | None) -> float | None:
    return round(max(0, pages) / rate, 1) if rate else None


def _rounded(rate: float | None) -> float | None:
    return None if rate is None else round(rate, 2)
