"""A second file with the same content gets a copy of what was read from the first, equal to reading it."""

from pathlib import Path

import pytest

from appliance.store import Store
from appliance.store.database.connection import open_writer, run
from ingest.types import DocumentInfo
from tests.appliance.store.filling import EMBEDDER, add, batches, embed, fill, identity, key, texts_of

TEXTS = [f"the crane {number} lifts {number * number} tonnes" for number in range(11)]


def open_store(path: Path) -> Store:
    return Store.open(path, embedder=EMBEDDER, embed_name=embed)


def copy(store: Store, path: bytes, steps: int = 100, texts: list[str] = TEXTS) -> bool | None:
    """Copy up to `steps` steps of three chunks; complete it after the last."""
    known = store.by_path(path)
    document = known.id if known else store.queue.add_file(path, identity(2))
    sink = store.queue.open_revision(document, key("\n".join(texts)))
    last: bool | None = False
    for _ in range(steps):
        last = sink.copy_some(3)
        if last is not False:
            break
    if last:
        sink.complete()
    return last


@pytest.fixture
def read_twice(tmp_path: Path) -> str:
    """The digest of a store in which both files were read."""
    with open_store(tmp_path / "twice.db") as store:
        add(store, b"a.pdf", TEXTS, "Cranes")
        add(store, b"b/copy.pdf", TEXTS, "Cranes", number=2)
        return store.digest()


def test_a_copy_equals_a_reading(store: Store, read_twice: str) -> None:
    add(store, b"a.pdf", TEXTS, "Cranes")
    assert copy(store, b"b/copy.pdf")
    assert store.digest() == read_twice
    assert store.check() == []
    assert texts_of(store, "crane") == sorted(TEXTS * 2)


@pytest.mark.parametrize("steps", [1, 2, 3])
def test_an_interrupted_copy_resumes(store: Store, read_twice: str, steps: int) -> None:
    add(store, b"a.pdf", TEXTS, "Cranes")
    assert copy(store, b"b/copy.pdf", steps) is False
    assert store.get(store.by_path(b"b/copy.pdf").id).chunks == 3 * steps  # type: ignore[union-attr]
    assert store.check() == []
    assert copy(store, b"b/copy.pdf")
    assert store.digest() == read_twice


def test_a_copy_continues_a_reading(store: Store, read_twice: str) -> None:
    document = store.queue.add_file(b"b/copy.pdf", identity(2))
    sink = store.queue.open_revision(document, key("\n".join(TEXTS)))
    sink.begin(DocumentInfo(len(TEXTS), "Cranes"))
    sink.commit(batches(TEXTS, "Cranes", size=4)[0])
    add(store, b"a.pdf", TEXTS, "Cranes")
    assert copy(store, b"b/copy.pdf")
    assert store.digest() == read_twice


def test_reading_finishes_a_copy_whose_source_was_removed(store: Store, tmp_path: Path) -> None:
    source = add(store, b"a.pdf", TEXTS, "Cranes")
    assert copy(store, b"b/copy.pdf", 2) is False
    store.remove(source)
    sink = store.queue.open_revision(store.by_path(b"b/copy.pdf").id, key("\n".join(TEXTS)))  # type: ignore[union-attr]
    assert sink.copy_some(3) is None
    fill(sink, TEXTS, "Cranes")
    sink.complete()
    assert store.check() == []
    with open_store(tmp_path / "one.db") as other:
        add(other, b"b/copy.pdf", TEXTS, "Cranes")
        assert store.digest() == other.digest()


def test_only_a_complete_revision_of_the_same_content_and_version_is_copied(store: Store) -> None:
    document = store.queue.add_file(b"a.pdf", identity(1))
    fill(store.queue.open_revision(document, key("\n".join(TEXTS))), TEXTS)
    assert copy(store, b"b.pdf") is None
    assert copy(store, b"c.pdf", texts=["other"]) is None


def test_a_copy_replaces_the_previous_text_at_once(store: Store) -> None:
    add(store, b"a.pdf", TEXTS, "Cranes")
    add(store, b"b.pdf", ["an older text"], number=2)
    assert copy(store, b"b.pdf", 2) is False
    assert texts_of(store, "older") == ["an older text"]
    assert copy(store, b"b.pdf")
    assert texts_of(store, "older") == []
    assert store.check() == []


def test_a_document_with_skipped_pages_is_never_copied(store: Store) -> None:
    first = add(store, b"a.pdf", TEXTS, "Cranes")
    with open_writer(store._database.path) as connection:
        run(connection, "UPDATE pages SET source = 'skipped' WHERE number = 3")
    assert copy(store, b"b/copy.pdf") is None
    store.remove(first)


def test_a_copy_does_not_continue_a_reading_with_different_pages(store: Store) -> None:
    add(store, b"a.pdf", TEXTS, "Cranes")
    assert copy(store, b"b/copy.pdf", steps=1) is False
    with open_writer(store._database.path) as connection:
        run(connection, "UPDATE pages SET text = 'otherwise' WHERE number = 1 AND revision = 2")
    assert copy(store, b"b/copy.pdf") is None
