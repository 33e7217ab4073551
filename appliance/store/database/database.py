"""Runs all writes on one writer thread, and reads on a pool of read-only connections.

Rule: only the writer thread touches the writing connection. Every change is a function passed to `write`, which runs it
there in one transaction. When `write` returns, the change survives a power cut. Each reader sees one snapshot and never
waits for the writer. An idle writer thread cleans up after deletions (`secure_cleaning`).
"""

import logging
import queue
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

import apsw

from appliance.errors import NotReady, StoreError
from appliance.store.database.connection import open_reader, open_writer, run, use_wal
from appliance.store.database.error_translation import translate, translated
from appliance.store.database.file_rewrite import discard
from appliance.store.database.reader_pool import Readers
from appliance.store.database.secure_cleaning import Cleaner, Pace

_log = logging.getLogger(__name__)

T = TypeVar("T")

# Chosen by eye.
_QUEUE = 64
_WAIT_SECONDS = 120.0


@dataclass(frozen=True, slots=True)
class _Job:
    run: Callable[[apsw.Connection], Any]
    outcome: "Future[Any]"


class Database:
    """The connections to one database file; a context manager, closed by `close`."""

    def __init__(
        self,
        path: Path,
        prepare: Callable[[apsw.Connection], None],
        *,
        sweep: Callable[[apsw.Connection], bool] = lambda _: False,
        pace: Pace = Pace(),  # noqa: B008 - frozen
    ) -> None:
        """Open and `prepare` (migrate) the file, then start the writer thread.

        `sweep` does one step of unfinished deletions in a transaction of its own; it returns False if there was nothing
        to do. `pace` sets when to clean.

        Raises:
            StoreError: or a subclass; nothing stays open then.
        """
        self.path = path
        self._jobs: queue.Queue[_Job | None] = queue.Queue(_QUEUE)
        self._closing = threading.Event()
        self._abandon = threading.Event()
        with translated(path, "opening"):
            self._connection = open_writer(path)  # only touched by the writer thread once that runs
            try:
                prepare(self._connection)
                use_wal(self._connection)
                with suppress(OSError):  # retried before the next rewrite
                    discard(path)
                self._cleaner = Cleaner(  # only touched by the writer thread once that runs
                    path, self._connection, lambda: self._transaction(sweep), lambda: not self._jobs.empty(), pace
                )
            except BaseException:
                self._connection.close()
                raise
        self._readers = Readers(path)
        self._thread = threading.Thread(target=self._loop, name="docent-store-writer", daemon=True)
        self._thread.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def write(self, job: Callable[[apsw.Connection], T], *, timeout: float = _WAIT_SECONDS) -> T:
        """Run `job` in one transaction on the writer thread and return its result.

        Its changes are durable on return and rolled back if it raises. `timeout` (seconds) bounds the wait in the
        queue, not the job itself.

        Raises:
            StoreError: or a subclass; also if the job did not start in time.
            NotReady: the store is closed or closing.
        """
        deadline = time.monotonic() + timeout
        outcome: Future[T] = Future()
        self._put(_Job(job, outcome), deadline)
        try:
            return outcome.result(max(0.0, deadline - time.monotonic()))
        except TimeoutError:
            if outcome.cancel():
                raise self._overloaded() from None
            return outcome.result()  # it is running already, or raised a TimeoutError of its own

    @contextmanager
    def read(self) -> Iterator[apsw.Connection]:
        """A read-only connection inside one snapshot.

        Raises:
            StoreError: or a subclass; also if no connection became free in time.
            NotReady: the store is closed.
        """
        with translated(self.path, "reading"), self._readers.snapshot() as connection:
            yield connection

    @contextmanager
    def read_anew(self) -> Iterator[apsw.Connection]:
        """Like `read`, on a new connection.

        SQLite's integrity check needs one: on a used connection, FTS5 trusts the structure of the index that it last
        saw and reports damage if another connection has written since.

        Raises:
            StoreError: or a subclass.
        """
        with translated(self.path, "reading"):
            connection = open_reader(self.path)
            try:
                run(connection, "BEGIN")
                yield connection
            finally:
                connection.close()

    def close(self, timeout: float = 5.0) -> None:
        """Finish the waiting writes, then close.

        After `timeout` seconds the running write is interrupted, which rolls it back, and the others are refused.
        Closing twice does nothing.
        """
        if self._closing.is_set():
            return
        self._closing.set()
        deadline = time.monotonic() + timeout
        self._put_sentinel(deadline)
        self._thread.join(max(0.0, deadline - time.monotonic()))
        if self._thread.is_alive():
            self._abandon.set()
            self._connection.interrupt()
            self._thread.join(1.0)

    def _put(self, job: _Job, deadline: float) -> None:
        if self._closing.is_set():
            raise self._closed()
        try:
            self._jobs.put(job, timeout=max(0.0, deadline - time.monotonic()))
        except queue.Full:
            raise self._overloaded() from None
        if self._closing.is_set() and not self._thread.is_alive() and job.outcome.cancel():
            raise self._closed()  # it arrived after the sentinel

    def _put_sentinel(self, deadline: float) -> None:
        try:
            self._jobs.put(None, timeout=max(0.0, deadline - time.monotonic()))
        except queue.Full:
            self._abandon.set()

    def _overloaded(self) -> StoreError:
        return StoreError(
            f"writing {self.path}",
            "too many writes are waiting",
            "try again; if it happens often, check the speed of the disk",
        )

    def _closed(self) -> NotReady:
        return NotReady(f"using {self.path}", "the store is closed", "start the service")

    # Below: the writer thread.

    def _loop(self) -> None:
        while not self._abandon.is_set():
            try:
                job = self._jobs.get(timeout=self._cleaner.wait())
            except queue.Empty:
                self._cleaner.idle()
                continue
            if job is None:
                break
            self._perform(job)
            self._cleaner.written()
        self._refuse_rest()
        self._readers.close()  # first: SQLite checkpoints the log only when the last connection closes
        try:
            self._cleaner.close(scrub=not self._abandon.is_set())
            self._connection.close()
        except apsw.Error:
            _log.exception("closing %s failed", self.path)

    def _refuse_rest(self) -> None:
        while True:
            try:
                job = self._jobs.get_nowait()
            except queue.Empty:
                return
            if job is not None and job.outcome.set_running_or_notify_cancel():
                job.outcome.set_exception(self._closed())

    def _perform(self, job: _Job) -> None:
        if not job.outcome.set_running_or_notify_cancel():
            return
        try:
            result = self._transaction(job.run)
        except apsw.Error as error:
            translated_error = translate(error, self.path, "writing")
            translated_error.__cause__ = error
            job.outcome.set_exception(translated_error)
        except BaseException as error:  # noqa: BLE001 - the caller's thread raises it; this loop must survive
            job.outcome.set_exception(error)
        else:
            job.outcome.set_result(result)

    def _transaction(self, job: Callable[[apsw.Connection], T]) -> T:
        run(self._connection, "BEGIN IMMEDIATE")
        try:
            result = job(self._connection)
            run(self._connection, "COMMIT")
        except BaseException:
            if self._connection.in_transaction:  # on a full disk, SQLite has rolled back already
                run(self._connection, "ROLLBACK")
            raise
        return result
