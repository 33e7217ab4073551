"""The writer thread, the reader pool, and the translation of SQLite's errors."""

import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import apsw
import pytest

from appliance.errors import NotReady, StoreCorrupt, StoreError, StoreFull, StoreTooNew
from appliance.store import Store
from appliance.store.database.connection import open_reader, row, rows, run, value
from appliance.store.database.database import Database
from appliance.store.database.migrations import MIGRATIONS, migrate
from appliance.store.database.reader_pool import Readers
from tests.appliance.store.filling import EMBEDDER, embed, identity
from tests.permissions import modes_count


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    path = tmp_path / "a.db"

    def prepare(connection: apsw.Connection) -> None:
        migrate(connection, path)
        run(connection, "CREATE TABLE IF NOT EXISTS t (x)")

    with Database(path, prepare) as opened:
        yield opened


def _insert(x: int) -> Callable[[apsw.Connection], int]:
    def job(connection: apsw.Connection) -> int:
        run(connection, "INSERT INTO t VALUES (?)", (x,))
        return x

    return job


def _all(database: Database) -> list[int]:
    with database.read() as connection:
        return [x for (x,) in rows(connection, "SELECT x FROM t ORDER BY x")]


def test_writes_from_many_threads_are_all_stored(database: Database) -> None:
    threads = [
        threading.Thread(target=lambda n=n: [database.write(_insert(10 * n + i)) for i in range(10)]) for n in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert _all(database) == list(range(80))


def test_a_failing_write_leaves_nothing_and_the_next_one_works(database: Database) -> None:
    def failing(connection: apsw.Connection) -> None:
        run(connection, "INSERT INTO t VALUES (1)")
        raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        database.write(failing)
    with pytest.raises(StoreError, match="no such table"):
        database.write(lambda connection: run(connection, "INSERT INTO nowhere VALUES (1)"))
    assert database.write(_insert(2)) == 2
    assert _all(database) == [2]


def test_a_reader_sees_one_snapshot_and_cannot_write(database: Database) -> None:
    database.write(_insert(1))
    with database.read() as connection:
        assert value(connection, "SELECT count(*) FROM t") == 1
        database.write(_insert(2))
        assert value(connection, "SELECT count(*) FROM t") == 1
    assert _all(database) == [1, 2]
    with pytest.raises(StoreFull), database.read() as connection:
        run(connection, "INSERT INTO t VALUES (3)")


def test_a_reader_serves_one_thread_at_a_time_and_waiting_times_out(database: Database) -> None:
    readers = Readers(database.path, most=1, wait=0.01)
    with readers.snapshot(), pytest.raises(StoreError, match="too many readers"), readers.snapshot():
        pass
    with readers.snapshot():
        pass
    readers.close()
    with pytest.raises(NotReady), readers.snapshot():
        pass


def test_the_memory_of_the_writer_does_not_grow_with_the_data(database: Database) -> None:
    def held(connection: apsw.Connection) -> int:
        return connection.status(apsw.SQLITE_DBSTATUS_CACHE_USED)[0]

    for _ in range(32):
        database.write(lambda connection: run(connection, "INSERT INTO t VALUES (randomblob(1000000))"))
    assert database.write(held) < 10 << 20


def test_a_write_that_times_out_in_the_queue_never_runs(database: Database) -> None:
    begun, go_on = threading.Event(), threading.Event()

    def slow(_: apsw.Connection) -> None:
        begun.set()
        go_on.wait(30)

    thread = threading.Thread(target=lambda: database.write(slow))
    thread.start()
    assert begun.wait(30)
    with pytest.raises(StoreError, match="too many writes"):
        database.write(_insert(1), timeout=0.01)
    go_on.set()
    thread.join(30)
    database.write(_insert(2))
    assert _all(database) == [2]


def test_closing_finishes_waiting_writes_and_refuses_new_ones(database: Database) -> None:
    begun, go_on = threading.Event(), threading.Event()
    assert _all(database) == []

    def slow(connection: apsw.Connection) -> None:
        begun.set()
        go_on.wait(30)
        _insert(1)(connection)

    threads = [threading.Thread(target=lambda job=job: database.write(job)) for job in (slow, _insert(2))]
    threads[0].start()
    assert begun.wait(30)
    threads[1].start()
    closer = threading.Thread(target=lambda: database.close(30))
    closer.start()
    while not database._closing.is_set():
        time.sleep(0.001)
    with pytest.raises(NotReady):
        database.write(_insert(3))
    go_on.set()
    for thread in (*threads, closer):
        thread.join(30)
    with pytest.raises(NotReady):
        _all(database)
    assert _read_anew(database.path) == [1, 2]
    assert not database.path.with_name("a.db-wal").exists()


def test_closing_interrupts_a_long_write_and_rolls_it_back(database: Database) -> None:
    begun = threading.Event()
    outcome: list[Exception] = []

    def endless(connection: apsw.Connection) -> None:
        run(connection, "INSERT INTO t VALUES (1)")
        begun.set()
        run(connection, "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT max(i) FROM n")

    def caller() -> None:
        try:
            database.write(endless)
        except NotReady as error:
            outcome.append(error)

    thread = threading.Thread(target=caller)
    thread.start()
    assert begun.wait(30)
    started = time.monotonic()
    database.close(0.05)
    thread.join(30)
    assert time.monotonic() - started < 10
    assert len(outcome) == 1
    assert _read_anew(database.path) == []


def _read_anew(path: Path) -> list[int]:
    connection = apsw.Connection(str(path))
    found = [int(x) for (x,) in connection.execute("SELECT x FROM t ORDER BY x").fetchall()]
    connection.close()
    return found


def test_a_full_disk_is_reported_and_survived(database: Database) -> None:
    pages = database.write(lambda connection: value(connection, "PRAGMA page_count"))
    database.write(lambda connection: run(connection, f"PRAGMA max_page_count={pages}"))
    with pytest.raises(StoreFull, match="no space left") as caught:
        database.write(lambda connection: run(connection, "INSERT INTO t VALUES (zeroblob(100000))"))
    assert "free space" in caught.value.hint
    database.write(lambda connection: run(connection, "PRAGMA max_page_count=1000000"))
    database.write(_insert(1))
    assert _all(database) == [1]


_SMALL_DISK = """
mount -t tmpfs -o size=$2 none "$1" || exit 77
head -c $3 /dev/zero > "$1/filler"
exec "$4" -c "$5" "$1/docent.db"
"""
_OPEN = """
import sys
from pathlib import Path
from appliance.errors import StoreFull
from appliance.store import Store
from tests.appliance.store.filling import EMBEDDER, embed
try:
    Store.open(Path(sys.argv[1]), embedder=EMBEDDER, embed_name=embed)
except StoreFull as error:
    print(error.hint)
"""


@pytest.mark.parametrize("left", [0, 4, 16, 40, 64])
def test_a_disk_that_is_full_at_the_start_is_reported(tmp_path: Path, left: int) -> None:
    """On a real file system with `left` KiB of room, in a mount namespace of its own."""
    unshare = shutil.which("unshare")
    if unshare is None:
        pytest.skip("needs unshare(1)")
    filler = str((256 - left) * 1024)
    shell = [unshare, "--user", "--map-root-user", "--mount", "sh", "-c", _SMALL_DISK, "sh"]
    done = subprocess.run(
        [*shell, tmp_path, "256k", filler, sys.executable, _OPEN],
        capture_output=True,
        text=True,
        timeout=60,
    )
    if done.returncode == 77 or "unshare failed" in done.stderr:
        pytest.skip("may not make a mount namespace")
    assert done.returncode == 0, done.stderr
    assert done.stdout == f"free space on the disk of {tmp_path}\n"


def test_a_damaged_file_is_reported(tmp_path: Path) -> None:
    path = tmp_path / "docent.db"
    path.write_bytes(b"this is no database at all" * 1000)
    with pytest.raises(StoreCorrupt) as caught:
        Store.open(path, embedder=EMBEDDER, embed_name=embed)
    assert "move" in caught.value.hint


def test_the_database_of_another_program_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "docent.db"
    connection = apsw.Connection(str(path))
    run(connection, "CREATE TABLE theirs (x)")
    connection.close()
    with pytest.raises(StoreCorrupt, match="not a database of Docent"):
        Store.open(path, embedder=EMBEDDER, embed_name=embed)
    connection = open_reader(path)
    assert rows(connection, "SELECT name FROM sqlite_schema") == [("theirs",)]
    connection.close()


def test_a_missing_folder_is_reported(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="cannot be opened"):
        Store.open(tmp_path / "no" / "docent.db", embedder=EMBEDDER, embed_name=embed)


def test_a_folder_that_cannot_be_written_is_reported(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with modes_count(), pytest.raises(StoreError, match="cannot be"):
        Store.open(tmp_path / "docent.db", embedder=EMBEDDER, embed_name=embed)


def test_a_newer_schema_is_refused_by_number(tmp_path: Path) -> None:
    path = tmp_path / "docent.db"
    with Database(path, lambda connection: migrate(connection, path)) as database:
        database.write(lambda connection: run(connection, f"PRAGMA user_version={len(MIGRATIONS) + 1}"))
    with pytest.raises(StoreTooNew, match=str(len(MIGRATIONS) + 1)):
        Store.open(path, embedder=EMBEDDER, embed_name=embed)


def test_a_failing_migration_leaves_the_previous_schema(tmp_path: Path) -> None:
    path = tmp_path / "docent.db"
    broken = (*MIGRATIONS, ("CREATE TABLE added (x)", "CREATE TABLE added (x)"))
    with pytest.raises(StoreError, match="already exists"):
        Database(path, lambda connection: migrate(connection, path, broken))
    mended = (*MIGRATIONS, ("CREATE TABLE added (x)",))
    with (
        Database(path, lambda connection: migrate(connection, path, mended)) as database,
        database.read() as connection,
    ):
        assert value(connection, "PRAGMA user_version") == len(mended)
        assert row(connection, "SELECT count(*) FROM added") == (0,)


def test_only_the_owner_may_read_the_file(tmp_path: Path) -> None:
    path = tmp_path / "docent.db"
    with Store.open(path, embedder=EMBEDDER, embed_name=embed) as store:
        store.queue.requeue(store.queue.add_file(b"a.pdf", identity()))
        assert {file.stat().st_mode & 0o777 for file in tmp_path.iterdir()} == {0o600}
