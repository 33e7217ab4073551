"""An intake over a real folder and a real store, with a reader of plain text and a clock that the test sets.

A file's lines are its passages, one a page. The test says which paths fail, and holds up readings after their first
batch. There is no watch: the test reports what it did, as a watch would.
"""

import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from appliance.display.path_names import display_name
from appliance.library.folder import Library
from appliance.library.intake import Intake
from appliance.store import Store
from appliance.store.rows import DocumentRow
from ingest.errors import IngestError, Stopped
from ingest.parsing.opened_file import OpenedFile, open_file
from ingest.types import DocumentInfo, FileIdentity, Sink
from tests.appliance.store.filling import EMBEDDER, batches, embed
from tests.live import wait_until


@dataclass
class TextReader:
    """Reads text, and counts its work by path and passage."""

    root: bytes
    failures: dict[bytes, list[IngestError | Exception]] = field(default_factory=dict)
    """Raised in turn by the readings of a path, after their first batch."""
    gates: dict[bytes, threading.Event] = field(default_factory=dict)
    begun: Counter[bytes] = field(default_factory=Counter)
    embedded: Counter[str] = field(default_factory=Counter)

    hindrances: dict[bytes, list[Exception]] = field(default_factory=dict)
    """Raised in turn by the readings of a path, before their first batch."""

    refusals: dict[bytes, list[IngestError]] = field(default_factory=dict)
    """Raised in turn when a path is opened."""

    @contextmanager
    def open(self, path: bytes, stop: threading.Event) -> Iterator["TextReading"]:
        if refusals := self.refusals.get(path):
            raise refusals.pop(0)
        with open_file(path, beneath=self.root) as file:
            yield TextReading(self, path, file, stop)

    def hold(self, path: bytes) -> threading.Event:
        """Make readings of a path wait after their first batch, unless that fails, until the event is set."""
        return self.gates.setdefault(path, threading.Event())


@dataclass
class TextReading:
    """One opened file."""

    reader: TextReader
    path: bytes
    file: OpenedFile
    stop: threading.Event

    embedder_identity = EMBEDDER.identity
    chunking = "lines"

    @property
    def identity(self) -> FileIdentity:
        return self.file.identity

    def sha256(self) -> str:
        return self.file.sha256(self.stop)

    def read_into(self, sink: Sink) -> None:
        self.reader.begun[self.path] += 1
        texts = self.file._read(1 << 20, 0).decode().splitlines()
        sink.begin(DocumentInfo(len(texts), "A title"))
        if hindrances := self.reader.hindrances.get(self.path):
            raise hindrances.pop(0)
        for batch in batches(texts, "A title", first=sink.progress().chunks_done):
            self.reader.embedded.update(one.embedded_text for one in batch.chunks)
            sink.commit(batch)
            self._disturb()
        sink.complete()

    def _disturb(self) -> None:
        if failures := self.reader.failures.get(self.path):
            raise failures.pop(0)
        gate = self.reader.gates.get(self.path)
        while gate is not None and not gate.wait(0.005):
            if self.stop.is_set():
                raise Stopped("reading", "the service is stopping")


class Driver:
    """The intake and what the test does to it."""

    def __init__(self, folder: Path, store: Store) -> None:
        self.root = folder / "library"
        self.root.mkdir(exist_ok=True)
        self.store = store
        self.now = 1_000_000.0
        library = Library(self.root)
        self.reader = TextReader(library.root)
        self.intake = Intake(library, store, self.reader.open, lambda _id, _row: None, "", clock=lambda: self.now)

    def write(self, path: str, *lines: str) -> None:
        """Write a file and report it."""
        target = self.root / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text("\n".join(lines))
        self.intake.look(path.encode())

    def rename(self, old: str, new: str) -> None:
        (self.root / old).rename(self.root / new)
        self.intake.moved(old.encode(), new.encode())

    def delete(self, path: str) -> None:
        (self.root / path).unlink()
        self.intake.look(path.encode())

    def turn(self, seconds: float) -> None:
        """Let time pass."""
        self.now += seconds
        self.intake.workers.wake()

    def row(self, path: str) -> DocumentRow:
        found = self.store.by_path(path.encode())
        assert found is not None, path
        return found

    def wait_for(self, path: str, *states: str) -> DocumentRow:
        """Wait until a document is in one of the states."""

        def reached() -> DocumentRow | None:
            found = self.store.by_path(path.encode())
            return found if found and found.state in states else None

        return wait_until(reached, f"{path} to be {states}")

    def wait_for_attempts(self, path: str, attempts: int) -> DocumentRow:
        """Wait until a document is postponed after this many failures."""

        def reached() -> DocumentRow | None:
            found = self.store.by_path(path.encode())
            return found if found and found.next_attempt and found.attempts == attempts else None

        return wait_until(reached, f"{path} to wait after {attempts} failures")

    def wait_until_begun(self, path: str, times: int = 1) -> None:
        """Wait until readings of a path have begun this often, the last of them with a committed batch."""
        wait_until(lambda: self.reader.begun[path.encode()] >= times, f"{path} to be read")
        wait_until(lambda: (row := self.store.by_path(path.encode())) and row.chunks, f"a batch of {path}")

    def idle(self) -> None:
        """Wait until the queue is empty and no document is being read."""

        def done() -> bool:
            return self.store.queue.next_pending() is None and not self.intake.workers._current

        wait_until(done, "the queue to be empty")

    def idle_at(self, path: str) -> None:
        """Wait until this document is not being read."""
        number = self.row(path).id
        wait_until(lambda: number not in self.intake.workers._current, f"nobody to read {path}")

    def listing(self) -> dict[str, str]:
        """The state of each document."""
        found, _ = self.store.list_documents(limit=10_000)
        return {display_name(row.path): row.state for row in found}


@contextmanager
def driving(folder: Path, store: Store) -> Iterator[Driver]:
    """A started intake."""
    driver = Driver(folder, store)
    driver.intake.start()
    try:
        yield driver
    finally:
        driver.intake.stop()


def undisturbed(folder: Path, root: Path) -> str:
    """The digest of a store that has read the folder as it is now, undisturbed."""
    with Store.open(folder / "undisturbed.db", embedder=EMBEDDER, embed_name=embed) as store:
        other = Driver(folder, store)
        assert other.root == root
        other.intake.start()
        for path in sorted(root.rglob("*")):
            if path.is_file():
                other.intake.look(bytes(path.relative_to(root)))
        other.idle()
        other.intake.stop()
        return store.digest()
