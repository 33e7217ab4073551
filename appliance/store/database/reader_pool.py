"""Pools read-only connections: opens them on demand and lends each to one thread at a time."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import apsw

from appliance.errors import NotReady, StoreError
from appliance.store.database.connection import open_reader, run

# Chosen by eye.
_MOST = 8
_WAIT_SECONDS = 30.0


class Readers:
    """Lends connections. `close` does not wait for readers; a late one closes its own connection."""

    def __init__(self, path: Path, most: int = _MOST, wait: float = _WAIT_SECONDS) -> None:
        self._path = path
        self._most = most
        self._wait = wait
        self._changed = threading.Condition()
        self._idle: list[apsw.Connection] = []  # guarded by _changed
        self._lent: set[apsw.Connection] = set()  # guarded by _changed
        self._opening = 0  # guarded by _changed
        self._closed = False  # guarded by _changed

    @contextmanager
    def snapshot(self) -> Iterator[apsw.Connection]:
        """A connection inside a read transaction."""
        connection = self._take()
        try:
            run(connection, "BEGIN")
            yield connection
        finally:
            self._return(connection)

    def close(self) -> None:
        """Close idle connections and interrupt those in use."""
        with self._changed:
            self._closed = True
            idle, self._idle = self._idle, []
            for connection in self._lent:
                connection.interrupt()
            self._changed.notify_all()
        for connection in idle:
            connection.close()

    def _take(self) -> apsw.Connection:
        with self._changed:
            free = self._changed.wait_for(self._available, self._wait)
            if self._closed:
                raise NotReady(f"reading {self._path}", "the store is closed", "start the service")
            if not free:
                raise StoreError(f"reading {self._path}", "too many readers are waiting", "try again in a moment")
            if self._idle:
                connection = self._idle.pop()
                self._lent.add(connection)
                return connection
            self._opening += 1
        try:
            connection = open_reader(self._path)
        except BaseException:
            with self._changed:
                self._opening -= 1
                self._changed.notify()
            raise
        with self._changed:
            self._opening -= 1
            self._lent.add(connection)
        return connection

    def _available(self) -> bool:
        return self._closed or bool(self._idle) or len(self._lent) + self._opening < self._most

    def _return(self, connection: apsw.Connection) -> None:
        usable = self._end(connection)
        with self._changed:
            self._lent.discard(connection)
            keep = usable and not self._closed
            if keep:
                self._idle.append(connection)
            self._changed.notify()
        if not keep:
            connection.close()

    @staticmethod
    def _end(connection: apsw.Connection) -> bool:
        """End the snapshot; False if the connection must not be used again."""
        try:
            if connection.in_transaction:
                run(connection, "ROLLBACK")
        except apsw.Error:
            return False
        return True
