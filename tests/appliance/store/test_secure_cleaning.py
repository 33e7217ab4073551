"""After some time without writes the file is rewritten, and nothing that was deleted is left in any page."""

import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import apsw
import pytest

from appliance.store import Store
from appliance.store.database.connection import open_reader, open_writer, row, rows, run, use_wal, value
from appliance.store.database.database import Database
from appliance.store.database.file_rewrite import rewrite_file
from appliance.store.database.migrations import MIGRATIONS, migrate
from appliance.store.database.secure_cleaning import Pace, mark_dirty
from tests.appliance.store.filling import EMBEDDER, add, embed, texts_of
from tests.appliance.store.histories import History
from tests.live import wait_until

PLANTED = b"qzvbrtk"
AT_ONCE, NEVER = Pace(quiet=0, quiet_per_100_mb=0, after_fault=0.05, rests=0), Pace(quiet=3600)
FINISH = "UPDATE cleaning SET owed = 0"


def opened(path: Path, pace: Pace) -> Store:
    return Store.open(path, embedder=EMBEDDER, embed_name=embed, pace=pace)


def owed(path: Path) -> bool:
    with closing(open_reader(path)) as connection:
        return bool(value(connection, "SELECT owed FROM cleaning"))


def wait_until_clean(path: Path) -> None:
    log = path.with_name(path.name + "-wal")
    wait_until(lambda: not owed(path) and not (log.exists() and log.stat().st_size), "the file to be rewritten")


def traces(path: Path, *words: str) -> list[tuple[str, str]]:
    files = {file.name: file.read_bytes() for file in path.parent.iterdir()}
    return [(name, word) for name, content in files.items() for word in words if word.encode() in content]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A store that owes a cleaning."""
    path = tmp_path / "docent.db"
    with opened(path, NEVER) as store:
        for number in range(12):
            add(store, f"a/{number}.pdf".encode(), [f"page {n} of {number}, pump {n}" for n in range(9)], number=number)
        store.remove(add(store, b"b/secret.pdf", [f"{PLANTED.decode()} lies here"]))
    assert owed(path)
    return path


@contextmanager
def writer_of(path: Path) -> Iterator[apsw.Connection]:
    with closing(open_writer(path)) as writer:
        use_wal(writer)
        yield writer


def enlarge(path: Path) -> None:
    """Make the file so large that copying it, both ways, includes several checks for waiting writes."""
    with writer_of(path) as writer:
        numbers = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 1500)"
        run(writer, f"CREATE TABLE large AS {numbers} SELECT randomblob(2500) FROM n")


# In these, the scrub alone left deleted words in the unused part of a page.
@pytest.mark.parametrize("seed", [8, 27, 54])
def test_after_a_random_history_deleted_words_are_nowhere_and_the_rest_is_unchanged(tmp_path: Path, seed: int) -> None:
    path, history = tmp_path / "docent.db", History(seed)
    with opened(path, NEVER) as store:
        history.live(store)
        digest, found = store.digest(), [texts_of(store, word) for word in history.standing()]
    assert history.gone
    with opened(path, AT_ONCE) as store:
        wait_until_clean(path)
        assert traces(path, *history.gone) == []
        assert store.check() == []
        assert store.digest() == digest
        assert [texts_of(store, word) for word in history.standing()] == found


def test_the_tables_of_sqlite_vec_keep_their_rowids(path: Path) -> None:
    """sqlite-vec reads by them, but without an INTEGER PRIMARY KEY, VACUUM may renumber them."""
    tables = ("vec_index_1_vector_chunks00", "vec_index_1_metadatachunks00")
    with opened(path, AT_ONCE) as store:
        add(store, b"c/new.pdf", ["a third collection, so that there is another block"])
        store.remove(store.by_path(b"a/0.pdf").id)  # type: ignore[union-attr]  # last, as a scrub follows it alone
        wait_until_clean(path)
    with closing(open_reader(path)) as connection:
        for table in tables:
            numbers = rows(connection, f"SELECT _rowid_, rowid FROM {table}")
            assert len(numbers) > 1
            assert all(own == declared for own, declared in numbers)
            assert {own for own, _ in numbers} == {
                n for (n,) in rows(connection, "SELECT chunk_id FROM vec_index_1_chunks")
            }


def test_a_waiting_write_interrupts_the_rewrite_at_any_point_and_nothing_changes(path: Path) -> None:
    enlarge(path)
    with writer_of(path) as writer:
        looks = 0

        def waits_at(which: int) -> Callable[[], bool]:
            nonlocal looks
            looks = 0

            def write_waits() -> bool:
                nonlocal looks
                looks += 1
                return looks == which

            return write_waits

        def contents() -> list[object]:
            return [
                row(writer, f"SELECT count(*), sum(id) FROM {table}") for table in ("chunks", "passages_data", "pages")
            ]

        before, pages, which = contents(), value(writer, "PRAGMA page_count"), 1
        while not rewrite_file(path, writer, waits_at(which), FINISH):
            assert looks == which
            assert contents() == before
            assert value(writer, "PRAGMA page_count") == pages
            assert owed(path)
            assert not list(path.parent.glob("*-anew*"))
            which += 1
        assert which > 9
        assert contents() == before
        assert value(writer, "PRAGMA auto_vacuum") == 2
        assert not owed(path)
    with opened(path, NEVER) as store:
        assert store.check() == []
    assert traces(path, PLANTED.decode()) == []


def test_readers_keep_their_snapshot(path: Path) -> None:
    with writer_of(path) as writer, closing(open_reader(path)) as reader:
        run(reader, "BEGIN")
        seen = rows(reader, "SELECT rowid, text FROM passages WHERE passages MATCH 'pump' ORDER BY rowid")
        assert rewrite_file(path, writer, lambda: False, FINISH)
        run(writer, "DELETE FROM chunks")
        again = "SELECT rowid, text FROM passages WHERE passages MATCH 'pump' ORDER BY rowid"
        assert rows(reader, again) == seen
        run(reader, "COMMIT")
        assert rows(reader, again) == seen
        assert value(reader, "SELECT count(*) FROM chunks") == 0


def test_writes_proceed_while_a_large_file_is_rewritten_and_the_rewrite_completes(tmp_path: Path) -> None:
    path = tmp_path / "a.db"

    def fill(connection: apsw.Connection) -> None:
        run(connection, "CREATE TABLE t (x)")
        numbers = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 20)"
        run(connection, f"INSERT INTO t {numbers} SELECT randomblob(1000000) FROM n")
        run(connection, "INSERT INTO t VALUES (?)", (PLANTED,))

    def clear(connection: apsw.Connection) -> None:
        mark_dirty(connection)
        run(connection, "DELETE FROM t WHERE x = ?", (PLANTED,))

    def note(connection: apsw.Connection) -> None:
        run(connection, "INSERT INTO t VALUES (1)")

    with Database(path, lambda connection: migrate(connection, path), pace=AT_ONCE) as database:
        database.write(fill)
        database.write(clear)
        longest, written = 0.0, 0
        for _ in range(15):
            time.sleep(0.05)
            begun = time.monotonic()
            database.write(note)
            longest, written = max(longest, time.monotonic() - begun), written + 1
        assert longest < 2  # far less, on a machine that does nothing else
        wait_until_clean(path)
        with database.read() as connection:
            assert value(connection, "SELECT count(*) FROM t") == 20 + written
            assert value(connection, "PRAGMA integrity_check") == "ok"
        assert traces(path, PLANTED.decode()) == []


def test_an_owed_cleaning_survives_a_crash(path: Path, tmp_path: Path) -> None:
    """The files are copied while the store is open, as a crash would leave them."""
    crashed = tmp_path / "crashed" / "docent.db"
    crashed.parent.mkdir()
    with opened(path, NEVER) as store:
        store._database.write(lambda connection: run(connection, FINISH))
        assert not owed(path)
        store.remove(store.by_path(b"a/3.pdf").id)  # type: ignore[union-attr]
        for name in ("docent.db", "docent.db-wal"):
            shutil.copy(path.with_name(name), crashed.with_name(name))
    for left in ("docent.db-anew", "docent.db-anew-journal"):
        crashed.with_name(left).write_bytes(b"left of a renewal that was killed")
    with opened(crashed, NEVER):
        assert owed(crashed)
        assert {file.name for file in crashed.parent.iterdir()} <= {"docent.db", "docent.db-wal", "docent.db-shm"}
    with opened(crashed, AT_ONCE) as store:
        wait_until_clean(crashed)
        assert store.check() == []


_KILLED = """
import itertools, os, sys
from pathlib import Path
from appliance.store.database.connection import open_writer, use_wal
from appliance.store.database.file_rewrite import rewrite_file
looks, path = itertools.count(1), Path(sys.argv[1])
use_wal(writer := open_writer(path))
rewrite_file(path, writer, lambda: next(looks) == int(sys.argv[2]) and os._exit(9), "UPDATE cleaning SET owed = 0")
"""


@pytest.mark.parametrize("look", [1, 7, 9])
def test_a_process_killed_during_the_rewrite_changes_nothing(path: Path, look: int) -> None:
    enlarge(path)
    with opened(path, NEVER) as store:
        digest = store.digest()
    done = subprocess.run([sys.executable, "-c", _KILLED, path, str(look)], timeout=60)
    assert done.returncode == 9
    with opened(path, AT_ONCE) as store:
        wait_until_clean(path)
        assert store.digest() == digest
        assert store.check() == []
    assert [file.name for file in path.parent.iterdir()] == ["docent.db"]


def test_a_rolled_back_deletion_owes_no_cleaning(tmp_path: Path) -> None:
    path = tmp_path / "docent.db"

    def undone(connection: apsw.Connection) -> None:
        mark_dirty(connection)
        raise KeyError("undone")

    with opened(path, AT_ONCE) as store:
        with pytest.raises(KeyError):
            store._database.write(undone)
        assert not owed(path)
        wait_until(lambda: store._database._cleaner.wait() is None, "the writer to have nothing to do")


_SMALL_DISK = """
mount -t tmpfs -o size=8m none "$1" || exit 77
exec "$2" -c "$3" "$1/docent.db"
"""
_FULL = """
import logging, shutil, sys, time
from pathlib import Path
import apsw
from appliance.store import Store
from appliance.store.database.secure_cleaning import Pace
from appliance.store.database.connection import open_writer, use_wal, value
from appliance.store.database.file_rewrite import rewrite_file
from tests.appliance.store.filling import EMBEDDER, add, embed

path, told, WORD = Path(sys.argv[1]), [], "qzvbrtk"
filler, FINISH = path.with_name("filler"), "UPDATE cleaning SET owed = 0"
CHUNKS, OWED = "SELECT count(*), sum(id) FROM chunks", "SELECT owed FROM cleaning"
class Told(logging.Handler):
    def emit(self, record):
        told.append(record.getMessage())
logging.getLogger("appliance").addHandler(Told())
logging.getLogger("appliance").setLevel("WARNING")

def opened(pace):
    return Store.open(path, embedder=EMBEDDER, embed_name=embed, pace=pace)

def fill_disk(but=0):
    filler.write_bytes(bytes(shutil.disk_usage(path.parent).free - but))

def wait_until(condition):
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)

def is_owed(store):
    with store._database.read() as connection:
        return value(connection, OWED)

def has_word():
    return any(WORD.encode() in file.read_bytes() for file in path.parent.iterdir())

with opened(Pace(quiet=3600)) as store:
    add(store, b"a.pdf", [f"ordinary page {n} tells of valve {n}" * 9 for n in range(200)])
    store.remove(add(store, b"secret.pdf", [WORD]))
fill_disk(1 << 20)  # less than the copy and the log need
with opened(Pace(quiet=0, after_fault=0.05)) as store:
    wait_until(lambda: told)
    time.sleep(0.3)
    assert len(told) == 1 and "are free" in told[0], told
    add(store, b"b.pdf", ["it can be written all the same"], number=2)
    assert is_owed(store) and store.check() == []
    filler.unlink()
    wait_until(lambda: not is_owed(store) and not has_word())
    assert store.check() == []

looks = 0
def disk_fills_up(at):
    def write_waits():
        global looks
        looks += 1
        if looks == at:
            fill_disk()
        return False
    return write_waits

for at in (1, 3):  # while the copy is made, and while it is put back
    use_wal(writer := open_writer(path))
    looks, before = 0, value(writer, CHUNKS)
    try:
        rewrite_file(path, writer, disk_fills_up(at), FINISH)
    except apsw.FullError:
        print("full")
    assert value(writer, CHUNKS) == before
    writer.close()
    filler.unlink()
    with opened(Pace(quiet=3600)) as store:
        assert store.check() == []
"""


def test_a_full_disk_is_reported_once_and_the_cleaning_follows_when_there_is_space(tmp_path: Path) -> None:
    unshare = shutil.which("unshare")
    if unshare is None:
        pytest.skip("needs unshare(1)")
    shell = [unshare, "--user", "--map-root-user", "--mount", "sh", "-c", _SMALL_DISK, "sh"]
    done = subprocess.run([*shell, tmp_path, sys.executable, _FULL], capture_output=True, text=True, timeout=60)
    if done.returncode == 77 or "unshare failed" in done.stderr:
        pytest.skip("may not make a mount namespace")
    assert (done.stdout, done.stderr) == ("full\nfull\n", "")


def test_an_older_database_owes_a_cleaning_and_a_new_one_does_not(tmp_path: Path) -> None:
    for documents in (0, 1):
        path = tmp_path / f"{documents}.db"
        with writer_of(path) as writer:
            migrate(writer, path, MIGRATIONS[:7])
            for _ in range(documents):
                run(writer, "INSERT INTO collections (name) VALUES (x'')")
                run(
                    writer,
                    "INSERT INTO documents (path, collection, state, device, inode, size, mtime_ns, ctime_ns, sequence)"
                    " VALUES (x'61', 1, 'pending', 1, 1, 1, 1, 1, 1)",
                )
            migrate(writer, path)
        assert owed(path) == bool(documents)


def test_the_quiet_time_grows_with_the_file_and_with_interruptions() -> None:
    pace = Pace()
    assert pace.quiet_for(10_000, 0) == pytest.approx(3, abs=0.1)
    assert pace.quiet_for(10**9, 0) == 33
    assert [pace.quiet_for(0, n) for n in range(4)] == [3, 6, 12, 24]
    assert pace.quiet_for(10**9, 99) == 3600
    assert pace.quiet_for(10**12, 99) == pace.quiet_for(10**12, 0)


def test_a_pause_follows_a_thorough_cleaning(tmp_path: Path) -> None:
    path = tmp_path / "docent.db"
    with opened(path, Pace(quiet=0, quiet_per_100_mb=0, rests=1e6)) as store:
        store.remove(add(store, b"a.pdf", ["a page"]))
        wait_until_clean(path)
        store.remove(add(store, b"b.pdf", ["another page"]))
        wait_until(lambda: not path.with_name("docent.db-wal").stat().st_size, "the scrub")
        assert owed(path)


def test_writing_goes_on_and_the_log_is_emptied_whatever_sweeping_raises(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path, failures = tmp_path / "docent.db", [OverflowError("of the sweep"), OverflowError("again")]

    def sweep(_: apsw.Connection) -> bool:
        if failures:
            raise failures.pop()
        return False

    with closing(Database(path, lambda connection: migrate(connection, path), sweep=sweep, pace=AT_ONCE)) as database:
        database.write(lambda connection: run(connection, "CREATE TABLE t (a)"))
        wait_until_clean(path)
        wait_until(lambda: not failures, "another try")
        database.write(lambda connection: run(connection, "INSERT INTO t VALUES (1)"))
    assert "OverflowError: again" in caplog.text
