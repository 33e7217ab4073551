"""Deleted words leave the files, not only the tables."""

import time
from collections.abc import Callable
from pathlib import Path

import apsw
import pytest

from appliance.store import Store
from appliance.store.database.connection import run
from appliance.store.database.database import Database
from appliance.store.database.migrations import migrate
from appliance.store.database.secure_cleaning import Pace, mark_dirty
from tests.appliance.store.filling import EMBEDDER, add, embed, fill, identity, key
from tests.live import wait_until

# The stemmer leaves it whole and no other word begins like it, so its bytes appear unchanged in every form of the index.
PLANTED = b"qzvbrtk"
TEXTS = [f"the {PLANTED.decode()} stands on page {n} beside pump {n * 7}" for n in range(40)]
OTHERS = [f"ordinary page {n} tells of valve {n * 3} and of nothing secret" for n in range(40)]


def _traces(store_path: Path) -> list[str]:
    files = [store_path, store_path.with_name(store_path.name + "-wal")]
    return [file.name for file in files if file.exists() and PLANTED in file.read_bytes()]


def _vanishes(store_path: Path) -> bool:
    deadline = time.monotonic() + 20
    while _traces(store_path):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.01)
    return True


def _remove(store: Store, document: str) -> None:
    store.remove(document)


def _fail(store: Store, document: str) -> None:
    store.queue.fail(document, "broken_pdf", "damaged")


def _replace(store: Store, document: str) -> None:
    store.queue.add_file(b"secret.pdf", identity(2))
    sink = store.queue.open_revision(document, key("new"))
    fill(sink, OTHERS[:5])
    sink.complete()


def _begin_another(store: Store, document: str) -> None:
    sink = store.queue.open_revision(document, key("second"))
    fill(sink, [f"{PLANTED.decode()} again"])
    store.queue.open_revision(document, key("third"))
    store.remove(document)


@pytest.mark.parametrize("others", [0, 1, 400], ids=["alone", "among few", "among many"])
@pytest.mark.parametrize("delete", [_remove, _fail, _replace, _begin_another])
def test_deleted_words_are_nowhere_in_the_files(
    store: Store, tmp_path: Path, delete: Callable[[Store, str], None], others: int
) -> None:
    path = tmp_path / "docent.db"
    for number in range(others // 40 + (others > 0)):
        add(store, f"other-{number}.pdf".encode(), OTHERS, number=number)
    document = add(store, b"secret.pdf", TEXTS[:1] if others == 400 else TEXTS)
    assert _traces(path)
    delete(store, document)
    assert _vanishes(path)
    assert store.check() == []
    store.close()
    assert not _traces(path)


def test_an_old_name_is_nowhere_in_the_files(store: Store, tmp_path: Path) -> None:
    document = add(store, b"folder/" + PLANTED + b".pdf", OTHERS)
    store.rename(document, b"folder/plain.pdf")
    assert _vanishes(tmp_path / "docent.db")
    assert store.check() == []


def test_deleting_frees_disk_space(store: Store, tmp_path: Path) -> None:
    document = add(store, b"a.pdf", [text * 200 for text in OTHERS])
    store.close()
    path = tmp_path / "docent.db"
    full = path.stat().st_size
    with Store.open(path, embedder=EMBEDDER, embed_name=embed) as again:
        again.remove(document)
        deadline = time.monotonic() + 20
        while path.stat().st_size > full / 2 and time.monotonic() < deadline:
            time.sleep(0.01)
    assert path.stat().st_size <= full / 2


def test_a_failed_cleaning_is_retried(tmp_path: Path) -> None:
    """As on a disk that is full or read-only for a while."""
    path, barred, refused = tmp_path / "a.db", [True], []

    def bar(operation: int, name: str | None, *_: object) -> int:
        if operation == apsw.SQLITE_PRAGMA and name == "wal_checkpoint" and barred:
            refused.append(name)
            return apsw.SQLITE_DENY
        return apsw.SQLITE_OK

    def plant(connection: apsw.Connection) -> None:
        connection.authorizer = bar
        run(connection, "INSERT INTO t VALUES (?)", (PLANTED,))

    def clear(connection: apsw.Connection) -> None:
        mark_dirty(connection)
        run(connection, "DELETE FROM t")

    def prepare(connection: apsw.Connection) -> None:
        migrate(connection, path)
        run(connection, "CREATE TABLE t (x)")

    with Database(path, prepare, pace=Pace(after_fault=0.05)) as database:
        database.write(plant)
        database.write(clear)
        wait_until(lambda: refused, "the cleaning to be refused")
        assert _traces(path)
        barred.clear()
        assert _vanishes(path)


def test_deleted_words_leave_an_index_that_was_once_emptied(store: Store, tmp_path: Path) -> None:
    """Its levels stay, and FTS5 never takes a merge above them for one of the oldest segment."""
    for number in range(2):
        many = store.queue.add_file(b"many.pdf", identity(number))
        fill(
            store.queue.open_revision(many, key(str(number))),
            [f"{text} {n * number}" for n, text in enumerate(OTHERS * 3)],
            size=1,
        )
        store.remove(many)
    add(store, b"other.pdf", OTHERS[:1])
    store.remove(add(store, b"secret.pdf", TEXTS[:1]))
    assert _vanishes(tmp_path / "docent.db")
