"""Each rule of the integrity check finds its fault."""

from collections.abc import Iterator
from pathlib import Path

import apsw
import pytest

from appliance.store import Store
from appliance.store.database.connection import open_writer, run
from tests.appliance.store.filling import EMBEDDER, add, embed, fill, identity, key

FAULTS = {
    "DELETE FROM vectors WHERE id = 1": "1 chunks without a vector",
    "DELETE FROM chunks WHERE id = 2": "1 vectors without a chunk",
    "DELETE FROM passages WHERE rowid = 1": "1 findable chunks missing from the full text",
    "INSERT INTO passages (rowid, text) VALUES (99, 'stray')": "1 full-text rows of chunks that must not be found",
    "UPDATE passages_content SET c3 = 'other words' WHERE id = 1": "passages",
    "DELETE FROM vec_index_1 WHERE rowid = 1": "1 findable chunks missing from the vector index",
    "UPDATE vec_index_1 SET document = 7 WHERE rowid = 1": "1 vector index rows in the wrong collection or document",
    "DELETE FROM name_vectors": "findable documents without a name vector",
    "DELETE FROM sources": "findable documents without their source's full-text row",
    "UPDATE documents SET building = NULL WHERE building IS NOT NULL": "1 revisions that no document refers to",
    "UPDATE revisions SET chunks = chunks + 1 WHERE id = 1": "1 revisions whose chunk count is wrong",
    "UPDATE pages SET revision = 99 WHERE id = 1": "refers to a row of revisions that is not there",
}


@pytest.fixture
def path(tmp_path: Path) -> Iterator[Path]:
    """A store with a document that is complete and has a replacement begun."""
    path = tmp_path / "docent.db"
    with Store.open(path, embedder=EMBEDDER, embed_name=embed) as store:
        document = add(store, b"a/one.pdf", ["first words", "second words"])
        store.queue.add_file(b"a/one.pdf", identity(2))
        fill(store.queue.open_revision(document, key("new")), ["third words"])
        assert store.check() == []
    return path


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_is_found_and_named(path: Path, fault: str) -> None:
    connection = open_writer(path)
    run(connection, "PRAGMA foreign_keys=OFF")
    run(connection, fault)
    connection.close()
    with Store.open(path, embedder=EMBEDDER, embed_name=embed) as store:
        assert FAULTS[fault] in "; ".join(store.check())


def test_a_file_without_auto_vacuum_is_found(path: Path) -> None:
    connection = apsw.Connection(str(path))
    run(connection, "PRAGMA journal_mode=DELETE")
    run(connection, "PRAGMA auto_vacuum=NONE")
    run(connection, "VACUUM")
    connection.close()
    with Store.open(path, embedder=EMBEDDER, embed_name=embed) as store:
        assert "give space back" in "; ".join(store.check())
