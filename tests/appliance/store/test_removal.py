"""A large document is gone with the first transaction of its removal, and what it leaves goes in small ones, over crashes."""

from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import apsw
import numpy as np
import pytest

from appliance.errors import UnknownDocument
from appliance.store import Store, documents, embedders, integrity, removal
from appliance.store.connection import value
from appliance.store.vectors import text_hash
from appliance.store.view import View
from ingest.types import Vector
from tests.appliance.store.filling import DIMENSIONS, EMBEDDER, batches, fill, identity, key
from tests.live import wait_until

PLANTED = b"qzvbrtk"
LARGE = [f"the {PLANTED.decode()} stands on page {n} beside pump {n * 7}" for n in range(removal.LARGE + 88)]
SMALL = ["the pump stands in the cellar", "the valve lifts oil"]


def embed(text: str) -> Vector:
    """Cheap: all texts of one length are the same."""
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
    document = store.queue_file(path, identity(len(texts)))
    sink = store.open_revision(document, key(texts[0]))
    fill(sink, texts, size=200, embed=embed)
    sink.complete()
    return document


def left(store: Store) -> int:
    """How many documents have been removed of which something is left."""
    with store._database.read() as connection:
        return len(documents.removed(connection))


def traces(path: Path) -> bool:
    files = (path, path.with_name("docent.db-wal"))
    return any(file.exists() and PLANTED in file.read_bytes() for file in files)


def test_from_the_first_transaction_on_nothing_of_it_is_found_and_every_step_leaves_the_store_sound(
    held: Store,
) -> None:
    number = held.by_path(b"big/large.pdf").number  # type: ignore[union-attr]
    sweep, counts = removal.Sweeper(), []

    def whole_removal(connection: apsw.Connection) -> None:
        removal.begin(connection, number)
        goes_on = True
        while goes_on:
            view = View(connection)
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


def test_its_path_is_free_at_once_and_whoever_still_reads_it_is_told(held: Store) -> None:
    before = held.by_path(b"big/large.pdf")
    assert before
    sink = held.open_revision(before.id, key("another content"))
    held.remove(before.id)
    for asked in (
        lambda: held.get(before.id),
        lambda: held.requeue(before.id),
        lambda: held.fail(before.id, "broken_pdf", "damaged", ticket=before.ticket),
        lambda: sink.commit(batches(SMALL, "T", embed=embed)[0]),
    ):
        with pytest.raises(UnknownDocument):
            asked()
    again = add(held, b"big/large.pdf", SMALL)
    assert again != before.id
    assert held.counts()["indexed"] == 2
    wait_until(lambda: not left(held), "the remains to go")
    assert held.get(again).chunks == len(SMALL)


def test_what_a_crash_leaves_of_a_removal_is_done_away_with_by_the_next_start(path: Path, held: Store) -> None:
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


def test_texts_that_another_document_has_too_keep_their_vectors(held: Store) -> None:
    add(held, b"other.pdf", LARGE[:5])
    document = held.by_path(b"big/large.pdf")
    assert document
    held.remove(document.id)
    wait_until(lambda: not left(held), "the remains to go")
    with held._database.read() as connection:
        vectors = "SELECT count(*) FROM vectors WHERE text_hash = ?"
        assert value(connection, vectors, (text_hash(LARGE[0]),)) == 1
        assert value(connection, vectors, (text_hash(LARGE[9]),)) == 0
