"""Measures how fast documents are read, and estimates how long the rest takes.

Pure: the clock is injected, and rows are passed in, never read from the store.

`SlidingRate` is the core: amounts over the last minute, or over the last few reports where these lie farther apart, as
with recognised pages. A run begins when a document is read after a rest. Its pages are counted by collection, so that
no figure reveals to a caller what happens in a collection closed to them.

No time is estimated before there is evidence for it. Speed is measured from the moment at which the number of pages is
known, since what comes before, such as the start of a process, is done once. Pages of a scan count as soon as they are
recognised: that is what takes the time, and they are committed some pages later. Opening a file counts as several pages,
so that many small files are expected to take as long as those before them, and a book is not expected to go at their
pace. The number of pages of a file that has not been opened is estimated from files of its size opened in this run.
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
"""After this long without reading, the next document starts another run."""

# Chosen by eye, except where said.
_FEWEST_REPORTS = 3  # recognised pages may be minutes apart: a window alone would give 0 between two of them
_SOONEST_SECONDS = 3.0  # of reading, before there is a rate
_FILE_IN_PAGES = 5
"""Cost of opening a file. Measured: two cores read 18 one-page files a second, or 100 pages of one file."""
_FILES_TO_GO_BY = 3  # finished, before there is an estimate
_ALIKE = 10
"""Files say something about others up to this many times larger."""

Clock = Callable[[], float]


class SlidingRate:
    """Amounts a second. Each counts as made in the time since the one before it, the first since `begin`."""

    def __init__(self, begin: float) -> None:
        self._since = begin
        self._reports: deque[tuple[float, float]] = deque()

    def add(self, now: float, amount: float) -> None:
        """Record `amount` more done by `now`; reports within one second count as one."""
        if self._reports and int(self._reports[-1][0]) == int(now):
            amount += self._reports.pop()[1]
        self._reports.append((now, amount))

    def per_second(self, now: float) -> float | None:
        """The rate up to now, falling while there are no reports; None as long as it rests on too little."""
        while len(self._reports) > _FEWEST_REPORTS and self._reports[0][0] <= now - WINDOW_SECONDS:
            self._since = self._reports.popleft()[0]
        if not self._reports or now - self._since < _SOONEST_SECONDS:
            return None
        return sum(amount for _, amount in self._reports) / (now - self._since)


@dataclass(frozen=True, slots=True)
class DocumentPace:
    """Pages a second of one document, and seconds until its last page; None where there is no estimate yet.

    `pages_recognised` counts the pages read so far, committed or not.
    """

    rate: float | None = None
    seconds_left: float | None = None
    pages_recognised: int = 0


STANDING = DocumentPace()


@dataclass(slots=True)
class _Reading:
    """A document being read; `rate` since its number of pages was known, `ahead` counts pages not yet committed."""

    collection: bytes
    ticket: int
    pages_done: int
    committed: int = 0
    pages_left: int = 0
    ahead: int = 0
    rate: SlidingRate | None = None


@dataclass(frozen=True, slots=True)
class Opened:
    """Totals of the files whose pages were counted in a run; `largest` in bytes, `finished` counts files read."""

    files: int = 0
    pages: int = 0
    bytes: int = 0
    largest: int = 0
    finished: int = 0

    def __add__(self, other: "Opened") -> "Opened":
        return Opened(
            self.files + other.files,
            self.pages + other.pages,
            self.bytes + other.bytes,
            max(self.largest, other.largest),
            self.finished + other.finished,
        )


@dataclass(slots=True)
class _Run:
    """What was read of one collection since the run began. Work is pages plus `_FILE_IN_PAGES` a file."""

    pages_rate: SlidingRate
    work_rate: SlidingRate
    pages: int = 0
    opened: Opened = field(default_factory=Opened)


@dataclass(slots=True)
class ReadingPace:
    """Follows every change of a document; thread-safe."""

    clock: Clock = time.monotonic
    _readings: dict[str, _Reading] = field(default_factory=dict)  # these three guarded by _lock
    _runs: dict[bytes, _Run] = field(default_factory=dict)
    _last: float = float("-inf")
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def observe(self, document: str, row: DocumentRow | None) -> None:
        """Record a document's change; None as its row means it was deleted."""
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
        if reading is None or row.ticket != reading.ticket or row.pages_done < reading.committed:
            # a new reading: what was committed before says nothing about its speed
            reading = self._readings[row.id] = _Reading(row.collection, row.ticket, row.pages_recognised)
        known = max(row.pages_recognised, reading.pages_done)  # only the reader's reports count recognised pages
        reading.committed, reading.ahead = row.pages_done, known - row.pages_done
        if not row.pages:
            return
        run, done = self._runs.get(row.collection), known - reading.pages_done
        reading.pages_done, reading.pages_left = known, row.pages - known
        if run is None:
            run = self._runs[row.collection] = _Run(SlidingRate(now), SlidingRate(now), pages=done)
            done = 0
        work = done
        if reading.rate is None:
            work += _FILE_IN_PAGES if run.opened.files else 0
            size = row.identity.size
            run.opened += Opened(1, row.pages, size, size)
            reading.rate = SlidingRate(now)
        elif done:
            reading.rate.add(now, done)
        if row.state == "indexed":
            run.opened += Opened(finished=1)
        if work:
            run.work_rate.add(now, work)
        if done:
            run.pages += done
            run.pages_rate.add(now, done)

    def of(self, row: DocumentRow) -> DocumentPace:
        """The pace of a document; without rate and time unless it is being read."""
        with self._lock:
            reading = self._readings.get(row.id) if row.state == "indexing" else None
            rate = _rate(reading, self.clock()) if reading else None
        done = max(row.pages_done, reading.pages_done) if reading else row.pages_done
        return DocumentPace(_rounded(rate), _seconds(row.pages - done, rate) if row.pages else None, done)

    def overall(self, work: WorkLeft, collections: Collection[bytes] | None = None) -> wire.Progress | None:
        """Progress of the given collections (None: all), whose queue is `work`; None if the queue is empty.

        The time left is at least that of the slowest document: beside text documents, a scan has few pages but takes
        long.
        """
        if not work.documents:
            return None
        with self._lock:
            now = self.clock()
            runs = [run for name, run in self._runs.items() if collections is None or name in collections]
            pages_rate = _sum([run.pages_rate.per_second(now) for run in runs])
            work_rate = _sum([run.work_rate.per_second(now) for run in runs])
            done = sum(run.pages for run in runs)
            opened = sum((run.opened for run in runs), Opened())
            readings = [one for one in self._readings.values() if collections is None or one.collection in collections]
            ahead = sum(one.ahead for one in readings)
            slowest = max((_seconds(one.pages_left, _rate(one, now)) or 0.0 for one in readings), default=0.0)
        left, known = pages_left(work, opened)
        left = max(0, left - ahead)
        seconds = _seconds(left + _FILE_IN_PAGES * work.unopened, work_rate)
        return wire.Progress(
            pages_done=done,
            pages_total=done + left,
            pages_per_second=_rounded(pages_rate),
            seconds_left=max(seconds, slowest) if known and seconds is not None else None,
            estimated=work.unopened > 0,
        )


def pages_left(work: WorkLeft, opened: Opened) -> tuple[int, bool]:
    """Pages still to be read, and whether that number is reliable.

    Files not yet opened are assumed to have as many bytes a page as those that were, and at least one page. The number
    is unreliable while only much smaller files were opened, or only a few of many.
    """
    if not work.unopened:
        return work.pages, True
    if not opened.pages or opened.largest * _ALIKE * work.unopened < work.unopened_bytes:
        return work.pages + work.unopened, False
    guessed = round(work.unopened_bytes * opened.pages / max(1, opened.bytes))
    enough = opened.finished >= _FILES_TO_GO_BY or opened.files >= work.unopened
    return work.pages + max(work.unopened, guessed), enough


def _rate(reading: _Reading, now: float) -> float | None:
    return reading.rate.per_second(now) if reading.rate else None


def _sum(rates: list[float | None]) -> float | None:
    known = [rate for rate in rates if rate is not None]
    return sum(known) if known else None


def _seconds(work: int, rate: float | None) -> float | None:
    return round(max(0, work) / rate, 1) if rate else None


def _rounded(rate: float | None) -> float | None:
    return None if rate is None else round(rate, 2)
