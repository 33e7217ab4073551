"""Kills a real service during commits and replacements: the short form of `python -m benchmarks.torture`.

Also checks that the proof's own tools find what they should.
"""

import gc
import shutil
from pathlib import Path

import apsw
import pytest
import sqlite_vec

from appliance.store import Store
from benchmarks.contents import differences
from benchmarks.torture import torture
from benchmarks.write_ahead import ends_inside_a_transaction, wait_for_write
from tests.appliance.store.filling import EMBEDDER, add, embed
from tests.live import short_home


@pytest.mark.timeout(300)
@pytest.mark.filterwarnings(
    "ignore:unclosed.*socket:ResourceWarning"
)  # httpcore leaves one open if the connection is refused
def test_a_service_that_is_killed_repeatedly_ends_like_one_that_was_not() -> None:
    with short_home() as folder:
        outcome = torture(Path(folder), kills=6, seed=3, interval_every=1000)
    gc.collect()  # here, while the warning is ignored
    assert outcome.faults == []
    assert sum(outcome.done.values()) >= 6
    assert outcome.documents["indexed"] > 3


def filled(path: Path, *, with_a_past: bool = False) -> Path:
    """A store of two documents; with a past, their rows have other ids."""
    with Store.open(path, embedder=EMBEDDER, embed_name=embed) as store:
        if with_a_past:
            store.remove(add(store, b"gone.pdf", ["gone by now"]))
        for number in range(2):
            add(store, f"{number}.pdf".encode(), [f"document {number} passage {i}" for i in range(5)], number=number)
    return path


def test_stores_with_the_same_content_do_not_differ_whatever_their_row_ids(tmp_path: Path) -> None:
    assert differences(filled(tmp_path / "a.db"), filled(tmp_path / "b.db", with_a_past=True)) == []


DAMAGE: dict[str, str] = {
    "a bit of a vector": "UPDATE vectors SET vector = CAST(zeroblob(2) || substr(vector, 3) AS BLOB) WHERE id = 3",
    "a passage gone": "DELETE FROM chunks WHERE id = 4",
    "a word in the full text": "UPDATE passages SET text = 'something else' WHERE rowid = 2",
    "a row of the full text gone": "DELETE FROM passages WHERE rowid = 2",
    "a vector too many": "INSERT INTO vectors (embedder, text_hash, vector) VALUES (1, x'00', x'00')",
    "a page's text": "UPDATE pages SET text = 'x' WHERE id = 1",
    "a document's state": "UPDATE documents SET state = 'failed' WHERE id = 1",
    "an index row gone": "DELETE FROM vec_index_1 WHERE rowid = 5",
}


@pytest.mark.parametrize("sql", DAMAGE.values(), ids=DAMAGE)
def test_any_damage_to_a_store_is_found(tmp_path: Path, sql: str) -> None:
    whole, spoilt = filled(tmp_path / "a.db"), tmp_path / "b.db"
    shutil.copy(whole, spoilt)
    spoil(spoilt, sql)
    assert differences(whole, spoilt)


def spoil(path: Path, sql: str) -> None:
    connection = apsw.Connection(str(path))
    connection.enable_load_extension(True)
    connection.load_extension(sqlite_vec.loadable_path())
    connection.execute(sql).fetchall()
    connection.close()


def test_a_log_that_ends_inside_a_transaction_is_recognised(tmp_path: Path) -> None:
    connection = apsw.Connection(str(tmp_path / "x.db"))
    connection.execute("PRAGMA journal_mode=WAL; PRAGMA cache_size=2; CREATE TABLE t (x)").fetchall()
    log = tmp_path / "x.db-wal"
    assert not ends_inside_a_transaction(log)
    connection.execute("BEGIN").fetchall()
    connection.executemany("INSERT INTO t VALUES (?)", [(bytes(4000),)] * 50).fetchall()  # more than the cache holds
    assert ends_inside_a_transaction(log)
    connection.execute("COMMIT").fetchall()
    assert not ends_inside_a_transaction(log)
    assert not wait_for_write(log, 0.01)
    connection.close()
