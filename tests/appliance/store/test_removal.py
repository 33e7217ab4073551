"""A large document disappears with the first transaction of its removal; its rows follow in steps, over crashes."""

from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import apsw
import numpy as np
import pytest

from appliance.errors import UnknownDocument
from appliance.store import Store
from appliance.store.database.connection import rows, value
from appliance.store.indexes.vectors import text_hash
from appliance.store.snapshot import Snapshot
from appliance.store.tables import documents, embedders, integrity, removal, revisions
from ingest.types import Vector
from tests.appliance.store.filling import DIMENSIONS, EMBEDDER, batches, fill, identity, key
from tests.live import wait_until

PLANTED = b"qzvbrtk"
LARGE = [f"the {PLANTED.decode()} stands on page {n} beside pump {n * 7}" for n in range(removal.LARGE + 88)]
SMALL = ["the pump stands in the cellar", "the valve lifts oil"]


def embed(text: str) -> Vector:
    """Cheap: texts of the same length have the same vector."""
    vector = np.full(DIMENSIONS, 0.1, np.float32)
    vector[len(text) % DIMENSIONS] = 1.0
    return vector


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "docent.db"


@pytest.fixture
def held(path: Path) -> Iterator[Store]:
    with opened(path) as store:
        add(store, b"small.pdf", SMALL)
        add(store, b"big/large.pdf", LARGE)
        yield store
        assert store.check() == []


def opened(path: Path) -> Store:
    return Store.open(path, embedder=EMBEDDER, embed_name=embed)


def add(store: Store, path: bytes, texts: list[str]) -> str:
    document = store.queue.add_file(path, identity(len(texts)))
    sink = store.queue.open_revision(document, key(texts[0]))
    fill(sink, texts, size=200, embed=embed)
    sink.complete()
    return document


def left(store: Store) -> int:
    """Number of removed documents with rows left."""
    with store._database.read() as connection:
        return len(documents.removed(connection))


def traces(path: Path) -> bool:
    files = (path, path.with_name("docent.db-wal"))
    return any(file.exists() and PLANTED in file.read_bytes() for file in files)


def test_nothing_is_found_after_the_first_transaction_and_every_step_leaves_the_store_sound(
    held: Store,
) -> None:
    number = held.by_path(b"big/large.pdf").number  # type: ignore[union-attr]
    sweep, counts = removal.Sweeper(), []

    def whole_removal(connection: apsw.Connection) -> None:
        removal.begin(connection, number)
        goes_on = True
        while goes_on:
            view = Snapshot(connection)
            assert {one.path for one in view.passages([n for n, _ in view.match("pump", limit=50)])} == {b"small.pdf"}
            near = [n for n, _ in view.nearest(embed(LARGE[0]), k=5)]
            assert [one.path for one in view.passages(near)] == [b"small.pdf"] * len(SMALL)
            assert documents.known_files(connection).keys() == {b"small.pdf"}
            assert documents.collections(connection) == {b""}
            assert list(integrity._rules(connection, embedders.serving(connection))) == []
            counts.append(value(connection, "SELECT count(*) FROM chunks"))
            goes_on = sweep(connection)

    held._database.write(whole_removal)
    steps = [before - after for before, after in pairwise(counts)]
    assert sum(steps) == len(LARGE)
    assert max(steps) <= 128


def test_its_path_is_free_at_once_and_a_running_reader_gets_an_error(held: Store) -> None:
    before = held.by_path(b"big/large.pdf")
    assert before
    sink = held.queue.open_revision(before.id, key("another content"))
    held.remove(before.id)
    for asked in (
        lambda: held.get(before.id),
        lambda: held.queue.requeue(before.id),
        lambda: held.queue.fail(before.id, "broken_pdf", "damaged", ticket=before.ticket),
        lambda: sink.commit(batches(SMALL, "T", embed=embed)[0]),
    ):
        with pytest.raises(UnknownDocument):
            asked()
    again = add(held, b"big/large.pdf", SMALL)
    assert again != before.id
    assert held.counts()["indexed"] == 2
    wait_until(lambda: not left(held), "the remains to go")
    assert held.get(again).chunks == len(SMALL)


def test_the_next_start_finishes_a_removal_that_a_crash_interrupted(path: Path, held: Store) -> None:
    number = held.by_path(b"big/large.pdf").number  # type: ignore[union-attr]

    def begun(connection: apsw.Connection) -> None:
        removal.begin(connection, number)
        removal.Sweeper()(connection)

    held._database.write(begun)
    held.close()  # which does not wait for all of it
    with opened(path) as again:
        wait_until(lambda: not left(again) and not traces(path), "the remains to go")
        assert again.check() == []
        assert [row.path for row in again.list_documents(limit=9)[0]] == [b"small.pdf"]


def test_texts_shared_with_another_document_keep_their_vectors(held: Store) -> None:
    add(held, b"other.pdf", LARGE[:5])
    document = held.by_path(b"big/large.pdf")
    assert document
    held.remove(document.id)
    wait_until(lambda: not left(held), "the remains to go")
    with held._database.read() as connection:
        vectors = "SELECT count(*) FROM vectors WHERE text_hash = ?"
        assert value(connection, vectors, (text_hash(LARGE[0]),)) == 1
        assert value(connection, vectors, (text_hash(LARGE[9]),)) == 0


def test_searches_work_while_rows_of_many_removed_documents_are_left(held: Store) -> None:
    names = [f"shelf/{number}.pdf".encode() for number in range(40)]
    for number, name in enumerate(names):
        add(held, name, [f"book {number} of {number} pumps", *SMALL])
    numbers = [row.number for row in held.list_documents(limit=99)[0] if row.path in names]

    def removed_all(connection: apsw.Connection) -> None:
        for number in numbers:
            removal.begin(connection, number)
        view = Snapshot(connection)
        for collections in (None, {b""}, {b"", b"shelf"}):
            found = view.match("pump", limit=99, collections=collections)
            near = view.nearest(embed(SMALL[0]), k=5, collections=collections)
            paths = {one.path for one in view.passages([number for number, _ in [*found, *near]])}
            assert not paths & set(names)
            assert b"small.pdf" in paths
        assert documents.counts(connection, None)["failed"] == 0

    assert len(numbers) == len(names)
    held._database.write(removed_all)


@pytest.mark.parametrize(
    ("query", "plan"),
    [
        (f"SELECT d.id FROM documents d WHERE {documents.REMOVED}", "SEARCH d USING COVERING INDEX"),
        (documents.REMOVED_REVISIONS, "SEARCH r USING COVERING INDEX revisions_by_document"),
        (revisions._LARGE_BEHIND, "SEARCH d USING INDEX documents_by_building (building>?)"),
        ("SELECT d.state, count(*) FROM documents d GROUP BY d.state", "SCAN d USING COVERING INDEX"),
        (f"SELECT d.id FROM documents d WHERE {documents.STANDING} AND d.path > X'61' ORDER BY d.path", "(path>?)"),
    ],
)
def test_frequent_queries_use_an_index(held: Store, query: str, plan: str) -> None:
    with held._database.read() as connection:
        found = rows(connection, f"EXPLAIN QUERY PLAN {query}")
    steps = [step for *_, step in found]
    assert any(plan in step for step in steps)
    assert "SCAN" in plan or not any(step.startswith("SCAN") for step in steps)
