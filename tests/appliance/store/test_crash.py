"""Whenever the process is killed, the store stays sound and ends the same as without the kill."""

import random
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from appliance.store import Store
from ingest.types import DocumentInfo
from tests.appliance.store.filling import EMBEDDER, batches, embed, identity, key

_DOCUMENTS = 5
_KILLS = 6
_REPLACED = 100  # the file's identity once it was replaced

_WORKER = """
import sys
from pathlib import Path
from tests.appliance.store.test_crash import open_store, work
with open_store(Path(sys.argv[1])) as store:
    for _ in work(store):
        print("step", flush=True)
print("done", flush=True)
"""


def open_store(path: Path) -> Store:
    return Store.open(path, embedder=EMBEDDER, embed_name=embed)


def work(store: Store) -> Iterator[None]:
    """Bring the store from any state to the same end; yields before and after every change.

    All documents are read, those of even number then replaced, one renamed and one removed.
    """
    for number in range(_DOCUMENTS):
        if store.by_path(_path(number)) is None and store.by_path(b"moved.pdf") is None:
            store.queue.add_file(_path(number), identity(number))
    yield from _read_pending(store)
    for number in range(0, _DOCUMENTS, 2):
        row = store.by_path(_path(number))
        if row is not None and row.identity.inode < _REPLACED:
            store.queue.add_file(_path(number), identity(_REPLACED + number))
            yield from _read_pending(store)
    if (row := store.by_path(_path(1))) is not None:
        store.rename(row.id, b"moved.pdf")
        yield
    if (row := store.by_path(_path(3))) is not None:
        store.remove(row.id)
        yield


def _path(number: int) -> bytes:
    return f"c{number % 2}/{number}.pdf".encode()


def _read_pending(store: Store) -> Iterator[None]:
    while (row := store.queue.next_pending()) is not None:
        number, version = row.identity.inode % _REPLACED, row.identity.inode // _REPLACED
        texts = [f"document {number} passage {i} says {i * i}" for i in range(9)] + [f"version {version} of {number}"]
        sink = store.queue.open_revision(row.id, key("\n".join(texts)), ticket=row.ticket)
        yield
        sink.begin(DocumentInfo(len(texts), ""))
        for batch in batches(texts, f"Title {number}", first=sink.progress().chunks_done, size=3):
            yield
            sink.commit(batch)
        yield
        sink.complete()
        yield


def _run_and_kill(path: Path, chance: random.Random) -> bool:
    """Run the worker and kill it after some steps; True if it finished before."""
    with subprocess.Popen([sys.executable, "-c", _WORKER, path], stdout=subprocess.PIPE, text=True) as worker:
        assert worker.stdout is not None
        for _ in range(chance.randrange(1, 25)):
            if worker.stdout.readline() == "done\n":
                return True
        for _ in range(chance.randrange(20_000)):  # some way into the next transaction
            pass
        worker.kill()
    return False


def test_a_store_killed_repeatedly_ends_like_an_undisturbed_one(tmp_path: Path) -> None:
    chance = random.Random(20)
    killed = tmp_path / "killed.db"
    for _ in range(_KILLS):
        _run_and_kill(killed, chance)
        with open_store(killed) as store:
            assert store.check() == []
    with open_store(killed) as store, open_store(tmp_path / "whole.db") as whole:
        for each in (store, whole):
            for _ in work(each):
                pass
        assert store.digest() == whole.digest()
        assert store.check() == []
        assert store.counts()["indexed"] == _DOCUMENTS - 1
