"""Reads queued documents into the store, by a few threads that each read one document at a time.

Two lanes are enough to keep every core embedding: while one waits for its parser to start or for the disk, the other's
batches continue. A third reads small documents while both are held up (`lanes`). Their only state is in the store:
whenever they are stopped, work resumes after the last committed batch.
"""

import logging
import math
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from appliance.errors import NotReady, StoreError
from appliance.library.attempt import Attempt, OpenDocument, Surroundings
from appliance.library.backoff import DELAYS, ENDINGS_ALLOWED, after_endings
from appliance.library.lanes import LANES, LONG_SECONDS, HeldDocument, Lane, may_take
from appliance.store import Store
from appliance.store.rows import DocumentRow, Trouble
from ingest.types import RevisionKey

_log = logging.getLogger(__name__)
# Chosen by eye.
_STOP_SECONDS = 4.0  # how long `stop` waits for each thread
_STORE_SECONDS = (5.0, 60.0)  # first and longest wait while the store cannot be written
_AWAY_SECONDS = 5.0  # between checks while the library is not available
_LONGEST_WAIT_SECONDS = 60.0
_MOST_PARKED = 64  # copies that wait without holding a thread; every choice of a document passes over them
_OUTDATED_AT_ONCE = 16  # so that a new document never waits for many that are read again
_ENDED = "interrupted"


@dataclass(frozen=True, slots=True)
class _Taken:
    """A document that a lane is reading."""

    held: HeldDocument
    ticket: int
    stop: threading.Event


class Workers:
    """The reading threads; `start()`, then `stop()`. Every other method may be called from any thread."""

    def __init__(
        self,
        store: Store,
        open_document: OpenDocument,
        around: Surroundings,
        *,
        first: Callable[[], None] = lambda: None,
    ) -> None:
        """`first()` is called before each document is taken; its StoreErrors are retried."""
        self._store = store
        self.open_document = open_document
        self._around = around
        self._first = first
        self._changed = threading.Condition()
        self._generation = 0  # guarded by _changed, as are the next three; counts changes that may give a lane work
        self._current: dict[str, _Taken] = {}  # by document
        self._claims: dict[RevisionKey, str] = {}  # the document that is read for a content
        self._parked: dict[str, RevisionKey] = {}  # documents that wait for another of the same content
        self._outdated_left = True  # touched only by the first lane
        self._preparing = threading.Lock()
        self._prepared = False  # guarded by _preparing
        self._stopping = threading.Event()
        self._threads = [
            threading.Thread(target=self._run, args=(lane,), name=f"docent-reader-{lane.name}", daemon=True)
            for lane in LANES
        ]

    def start(self) -> None:
        """Start working on the queue. Postponed documents are retried at once: a restart often mends the cause.

        If that cannot be recorded now, on a full disk say, the threads record it before they take a document.
        """
        try:
            self._prepare()
        except StoreError as error:
            _log.error("%s; %s", error, error.hint)
        for thread in self._threads:
            thread.start()

    def wake(self) -> None:
        """Wake the threads: a document was queued."""
        with self._changed:
            self._generation += 1
            self._changed.notify_all()

    def interrupt(self, document_id: str, newest: int | None = None) -> None:
        """End the reading of this document, unless that reading began with the ticket `newest`."""
        with self._changed:
            self._parked.pop(document_id, None)
            taken = self._current.get(document_id)
            if taken is not None and taken.ticket != newest:
                taken.stop.set()
            self._changed.notify_all()

    def interrupt_all(self) -> None:
        """Begin to stop: each thread ends after its current batch, its parser at once."""
        self._stopping.set()
        with self._changed:
            for taken in self._current.values():
                taken.stop.set()
            self._changed.notify_all()

    def stop(self) -> None:
        """`interrupt_all`, then wait for the threads to end."""
        self.interrupt_all()
        for thread in self._threads:
            if thread.is_alive():
                thread.join(_STOP_SECONDS)
            if thread.is_alive():
                _log.warning(
                    "%s did not stop within %s s; its last batch will be read again", thread.name, _STOP_SECONDS
                )

    def _prepare(self) -> None:
        """Update the queue once after a start.

        Raises:
            StoreError: nothing is lost; call it again.
        """
        with self._preparing:
            if self._prepared:
                return
            self._postpone_crash_causes()
            self._store.queue.release(math.inf, except_code=_ENDED)
            self._prepared = True

    def _postpone_crash_causes(self) -> None:
        """Postpone documents during whose reading the service has ended again and again: they may be the cause."""
        for row in self._store.queue.interrupted(ENDINGS_ALLOWED + 1):
            found = after_endings(row.attempts, self._around.chance())
            assert found is not None
            assert found.delay is not None
            why = f"the service ended {row.attempts} times while reading it"
            hint = f"the kernel's or the service's log may say why; `docent documents retry {row.id}` retries at once"
            _log.warning("%s: %s; retried in %.0f s", row.id, why, found.delay)
            self._store.queue.postpone(
                row.id,
                Trouble(_ENDED, why, hint),
                attempts=row.attempts,
                next_attempt=self._around.clock() + found.delay,
                state=found.state,
                withdrawn="nothing",
                ticket=row.ticket,
            )

    # Below: the reading threads.

    def _run(self, lane: Lane) -> None:
        wait, longest = _STORE_SECONDS
        while not self._stopping.is_set():
            try:
                self._prepare()
                self._first()
                self._read_next(lane)
                wait = _STORE_SECONDS[0]
            except NotReady:
                return
            except StoreError as error:
                # a full disk, say: nothing is lost, and a later retry is all that can help
                _log.error("%s; %s", error, error.hint)
                self._stopping.wait(wait)
                wait = min(2 * wait, longest)
            except Exception:  # noqa: BLE001 - the top of a loop that must survive
                _log.exception("a reading thread failed")
                self._stopping.wait(wait)

    def _read_next(self, lane: Lane) -> None:
        with self._changed:
            seen = self._generation
        self._release_due()
        taken = self._take(lane) if self._around.library_there() else None
        if taken is None:
            if lane is LANES[0] and self._around.library_there() and self._queue_outdated():
                return
            self._wait(lane, seen)
            return
        row, stop = taken
        try:
            attempt = Attempt(self._store, row, stop, self._around, lambda key: self._claim(row.id, key, stop))
            attempt.run(self.open_document)
        finally:
            self._release(row.id)

    def _queue_outdated(self) -> bool:
        """Queue some documents read by an older version of the code; returns whether there were any."""
        if not self._outdated_left:
            return False
        found = self._store.queue.requeue_outdated(_OUTDATED_AT_ONCE)
        self._outdated_left = len(found) == _OUTDATED_AT_ONCE
        if found:
            _log.info("%d documents were read by an older version; they are read again and still answer", len(found))
        for document in found:
            self._around.report(document)
        return bool(found)

    def _release_due(self) -> None:
        """Queue documents whose retry is due. A time absurdly far ahead comes from a clock that was since set back."""
        now = self._around.clock()
        due = self._store.queue.next_due()
        if due is not None and (due <= now or due > now + 2 * DELAYS[-1]):
            for document in self._store.queue.release(now, but=now + 2 * DELAYS[-1]):
                self._around.report(document)
            self.wake()

    def _take(self, lane: Lane) -> tuple[DocumentRow, threading.Event] | None:
        with self._changed:
            now = time.monotonic()
            if self._stopping.is_set() or not may_take(lane, [one.held for one in self._current.values()], now):
                return None
            row = self._store.queue.next_pending({*self._current, *self._parked}, lane.order, lane.below)
            if row is None:
                return None
            taken = self._current[row.id] = _Taken(
                HeldDocument(lane, row.identity.size, now), row.ticket, threading.Event()
            )
            self._generation += 1  # the express lane may be needed now
            self._changed.notify_all()
            return row, taken.stop

    def _wait(self, lane: Lane, seen: int) -> None:
        """Wait until a document is queued or due."""
        due = self._store.queue.next_due()
        longest = LONG_SECONDS / 2 if lane.is_express else _LONGEST_WAIT_SECONDS
        if due is not None:
            longest = min(longest, max(0.0, due - self._around.clock()))
        if not self._around.library_there():
            longest = _AWAY_SECONDS
        with self._changed:
            self._changed.wait_for(lambda: self._generation != seen or self._stopping.is_set(), longest)

    def _claim(self, document_id: str, key: RevisionKey, stop: threading.Event) -> bool:
        """Whether to read this document now; if another of the same content is being read, it waits for that one.

        With `_MOST_PARKED` copies waiting, the thread itself waits.
        """
        with self._changed:
            holder = self._claims.setdefault(key, document_id)
            if holder == document_id:
                return True
            if len(self._parked) < _MOST_PARKED:
                self._parked[document_id] = key
                return False
            self._changed.wait_for(lambda: key not in self._claims or stop.is_set())
            if stop.is_set():
                return False
            return self._claims.setdefault(key, document_id) == document_id

    def _release(self, document_id: str) -> None:
        """End the document's reading: it may be queued again, and copies of its content no longer wait for it."""
        with self._changed:
            del self._current[document_id]
            for key in [key for key, holder in self._claims.items() if holder == document_id]:
                del self._claims[key]
                self._parked = {parked: other for parked, other in self._parked.items() if other != key}
        self.wake()
