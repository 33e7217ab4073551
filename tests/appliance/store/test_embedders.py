"""One embedding model replaces another in one step, complete, whatever happens meanwhile."""

from functools import partial
from pathlib import Path

import apsw
import numpy as np
import pytest

from appliance.store import EmbedderKey, EmbedderStatus, ModelGone, Rebuild, Remade, Store
from appliance.store.database.connection import open_reader, open_writer, rows, run, value
from appliance.store.database.migrations import MIGRATIONS, migrate
from ingest.errors import Stopped
from ingest.types import RevisionKey, Vector
from tests.appliance.store.filling import EMBEDDER, add, embed, fill, identity, key, texts_of

NEXT = EmbedderKey("test-embedder-2", "next", 28, "/models/next")
THIRD = EmbedderKey("test-embedder-3", "third", 12)
PUMP = ["the pump has a valve", "change the oil every year", "alarm E12 means low oil"]
LIFT = ["the lift is inspected", "a trapped person is freed", "change the oil every year"]


def by(model: EmbedderKey, text: str) -> Vector:
    """The vector that a model other than the first has for a text."""
    return np.resize(embed(f"{model.identity} {text}"), model.dimensions).astype(np.float32)


def want(store: Store, model: EmbedderKey) -> Rebuild:
    assert store.want(model).target == model
    store.name_with(model.identity, partial(by, model))
    rebuild = store.rebuild()
    assert rebuild is not None
    return rebuild


def remake(rebuild: Rebuild, model: EmbedderKey, limit: int = 100, cut: str = "") -> None:
    """A batch of chunks and one of names; a text with the word `cut` is too long for the model."""
    chunks = rebuild.lacking_chunks(0, limit)
    found = [Remade(one.text_hash, by(model, one.text), bool(cut) and cut in one.text) for one in chunks]
    assert rebuild.add_chunks(found)
    assert rebuild.add_names([(one, by(model, one.text)) for one in rebuild.lacking_names(limit)])


def switched(store: Store, model: EmbedderKey) -> Store:
    rebuild = want(store, model)
    remake(rebuild, model)
    assert rebuild.switch() == []
    return store


def fresh(path: Path, model: EmbedderKey, **files: list[str]) -> str:
    """The digest of a store that never had another model."""
    with Store.open(path, embedder=model, embed_name=partial(by, model)) as store:
        for name, texts in files.items():
            add(store, f"{name}.pdf".encode(), texts, embed=partial(by, model))
        return store.digest()


@pytest.fixture
def filled(store: Store) -> Store:
    add(store, b"pump.pdf", PUMP)
    add(store, b"lift.pdf", LIFT, number=2)
    return store


def test_after_a_switch_the_store_is_as_if_it_had_never_known_the_old_model(filled: Store, tmp_path: Path) -> None:
    switched(filled, NEXT)
    assert filled.embedding() == EmbedderStatus(NEXT, None)
    assert filled.check() == []
    assert filled.digest() == fresh(tmp_path / "fresh.db", NEXT, pump=PUMP, lift=LIFT)
    with filled.snapshot() as snapshot:
        ((chunk, cosine), *_) = snapshot.nearest(by(NEXT, PUMP[2]), k=1)
        assert snapshot.passages([chunk])[0].text == PUMP[2]
    assert cosine == pytest.approx(1, abs=1e-3)


def test_until_the_switch_the_old_vectors_answer(filled: Store) -> None:
    before = filled.digest()
    rebuild = want(filled, NEXT)
    remake(rebuild, NEXT, limit=2)
    assert filled.digest() == before
    with filled.snapshot() as snapshot:
        assert snapshot.embedder == EMBEDDER.identity
        assert snapshot.nearest(embed(PUMP[0]), k=1)[0][1] == pytest.approx(1, abs=1e-3)
    assert filled.check() == []


def test_no_switch_while_vectors_are_lacking(filled: Store) -> None:
    rebuild = want(filled, NEXT)
    assert rebuild.switch() is None
    chunks = rebuild.lacking_chunks(0, 100)
    rebuild.add_chunks([Remade(one.text_hash, by(NEXT, one.text), False) for one in chunks])
    assert rebuild.switch() is None, "the documents' names are lacking"
    remake(rebuild, NEXT)
    add(filled, b"new.pdf", ["something that came in at the last moment"], number=3)
    assert rebuild.switch() is None
    remake(rebuild, NEXT)
    assert rebuild.switch() == []


def test_a_rebuild_resumes_after_a_crash(filled: Store, tmp_path: Path) -> None:
    remake(want(filled, NEXT), NEXT, limit=2)
    filled.close()
    with Store.open(tmp_path / "docent.db", embedder=NEXT, embed_name=partial(by, NEXT)) as again:
        again.name_with(EMBEDDER.identity, embed)
        rebuild = again.rebuild()
        assert rebuild is not None
        assert rebuild.progress() == (3, 6), "a text that two documents share counts for both"
        assert [one.text for one in rebuild.lacking_chunks(0, 100)] == [PUMP[2], *LIFT[:2]]


def test_a_rebuild_follows_changes_to_documents(filled: Store, tmp_path: Path) -> None:
    rebuild = want(filled, NEXT)
    remake(rebuild, NEXT)
    renamed, removed = filled.by_path(b"pump.pdf"), filled.by_path(b"lift.pdf")
    assert renamed
    assert removed
    filled.rename(renamed.id, b"manuals/feed pump.pdf")
    filled.remove(removed.id)
    add(filled, b"manuals/gate.pdf", ["the gate opens at six", PUMP[0]], number=4)
    assert rebuild.switch() is None
    remake(rebuild, NEXT)
    assert rebuild.switch() == []
    assert filled.check() == []
    files = {"manuals/feed pump": PUMP, "manuals/gate": ["the gate opens at six", PUMP[0]]}
    assert filled.digest() == fresh(tmp_path / "fresh.db", NEXT, **files)


def test_outdated_vectors_are_left_out(filled: Store) -> None:
    rebuild = want(filled, NEXT)
    chunks, names = rebuild.lacking_chunks(0, 100), rebuild.lacking_names(100)
    for path in (b"pump.pdf", b"lift.pdf"):
        row = filled.by_path(path)
        assert row
        filled.remove(row.id) if path == b"lift.pdf" else filled.rename(row.id, b"other.pdf")
    assert rebuild.add_chunks([Remade(one.text_hash, by(NEXT, one.text), False) for one in chunks])
    assert rebuild.add_names([(one, by(NEXT, one.text)) for one in names])
    assert rebuild.progress() == (3, 3)
    assert [one.text for one in rebuild.lacking_names(9)] == ["other A title"]
    assert filled.check() == []


@pytest.mark.parametrize("way", ["back", "third"])
def test_changing_the_target_drops_its_vectors(filled: Store, tmp_path: Path, way: str) -> None:
    before = filled.digest()
    rebuild = want(filled, NEXT)
    remake(rebuild, NEXT, limit=2)
    if way == "back":
        assert filled.want(EMBEDDER) == EmbedderStatus(EMBEDDER, None)
        assert filled.digest() == before
    else:
        switched(filled, THIRD)
        assert filled.digest() == fresh(tmp_path / "fresh.db", THIRD, pump=PUMP, lift=LIFT)
    assert rebuild.switch() is None
    assert not rebuild.add_chunks([Remade(b"x" * 16, by(NEXT, "x"), False)])
    assert not rebuild.add_names([])
    assert filled.check() == []
    filled.close()
    reader = open_reader(tmp_path / "docent.db")
    assert value(reader, "SELECT count(*) FROM embedders") == 1
    assert value(reader, "SELECT count(DISTINCT embedder) FROM vectors") == 1
    reader.close()


def test_no_byte_of_the_old_vectors_stays(filled: Store, tmp_path: Path) -> None:
    old = np.asarray(embed(PUMP[0]), "<f2").tobytes()
    path = tmp_path / "docent.db"
    assert old in path.read_bytes() + (tmp_path / "docent.db-wal").read_bytes()
    switched(filled, NEXT)
    filled.close()
    assert old not in path.read_bytes()
    reader = open_reader(path)
    assert rows(reader, "SELECT name FROM sqlite_schema WHERE name GLOB 'vec_index_*' AND sql LIKE '%vec0%'") == [
        ("vec_index_2",)
    ]
    reader.close()


def test_a_document_with_passages_too_long_for_the_new_model_is_read_again_and_answers_meanwhile(filled: Store) -> None:
    rebuild = want(filled, NEXT)
    remake(rebuild, NEXT, cut="E12")
    pump = filled.by_path(b"pump.pdf")
    assert pump
    assert rebuild.switch() == [pump.id]
    waiting = filled.queue.next_pending()
    assert waiting
    assert waiting.id == pump.id
    assert texts_of(filled, "alarm") == [PUMP[2]]
    content = key("\n".join(PUMP))
    assert not filled.queue.settle(pump.id, content), "its file is the same, but it is not done with"
    sink = filled.queue.open_revision(pump.id, content, embedder=NEXT.identity)
    assert texts_of(filled, "alarm") == [PUMP[2]]
    fill(sink, [*PUMP[:2], "alarm E12", "means low oil"], embed=partial(by, NEXT))
    sink.complete()
    assert texts_of(filled, "alarm") == ["alarm E12"]
    assert filled.queue.settle(pump.id, content)
    assert filled.check() == []


def test_a_sink_writes_nothing_after_a_switch(filled: Store) -> None:
    content = key("new")
    document = filled.queue.add_file(b"new.pdf", identity(7))
    sink = filled.queue.open_revision(document, content, embedder=EMBEDDER.identity)
    fill(sink, ["first words"])
    switched(filled, NEXT)
    with pytest.raises(Stopped, match="embedding model was changed"):
        sink.complete()
    with pytest.raises(Stopped, match="embedding model was changed"):
        filled.queue.open_revision(document, content, embedder=EMBEDDER.identity)
    again = filled.queue.open_revision(document, content, embedder=NEXT.identity)
    assert again.progress().chunks_done == 1
    fill(again, ["first words", "and the rest"], embed=partial(by, NEXT))
    again.complete()
    assert filled.check() == []


def test_a_revision_with_other_chunk_lengths_is_replaced_and_answers_meanwhile(store: Store) -> None:
    document = store.queue.add_file(b"new.pdf", identity(7))
    fill(store.queue.open_revision(document, RevisionKey("a" * 64, chunking="long")), ["one two three four"])
    again = store.queue.open_revision(document, RevisionKey("a" * 64, chunking="short"))
    assert again.progress().chunks_done == 0
    assert texts_of(store, "three") == ["one two three four"]
    fill(again, ["one two", "three four"])
    assert texts_of(store, "three") == ["one two three four"]
    again.complete()
    assert texts_of(store, "three") == ["three four"]
    assert store.check() == []


def test_without_the_old_model_the_full_text_answers_and_new_documents_use_the_new_model(
    filled: Store, tmp_path: Path
) -> None:
    rebuild = want(filled, NEXT)
    assert filled.forget_serving() == EmbedderStatus(None, NEXT)
    assert filled.check() == []
    assert texts_of(filled, "alarm") == [PUMP[2]]
    with filled.snapshot() as snapshot:
        assert snapshot.embedder is None
        assert snapshot.nearest(by(NEXT, PUMP[0]), k=5) == []
        assert snapshot.name_vectors()[0] == []
        assert snapshot.vectors([1, 2])[0] == []
    add(filled, b"new.pdf", ["fresh words"], number=5, embed=partial(by, NEXT))
    assert texts_of(filled, "fresh") == ["fresh words"]
    assert "fresh words" not in {one.text for one in rebuild.lacking_chunks(0, 100)}
    remake(rebuild, NEXT)
    assert rebuild.switch() == []
    assert filled.check() == []
    assert filled.digest() == fresh(tmp_path / "fresh.db", NEXT, pump=PUMP, lift=LIFT, new=["fresh words"])


def test_the_only_model_is_never_forgotten(filled: Store) -> None:
    assert filled.forget_serving() == EmbedderStatus(EMBEDDER, None)


def test_a_running_search_sees_the_old_vectors_to_its_end(filled: Store) -> None:
    with filled.snapshot() as snapshot:
        switched(filled, NEXT)
        assert snapshot.embedder == EMBEDDER.identity
        assert len(snapshot.nearest(embed(PUMP[0]), k=10)) == 6
    with filled.snapshot() as snapshot:
        assert snapshot.embedder == NEXT.identity


def test_a_name_is_embedded_by_the_new_model_if_the_switch_comes_first(filled: Store) -> None:
    def overtaken(text: str) -> Vector:
        switched(filled, NEXT)
        raise ModelGone

    filled.name_with(EMBEDDER.identity, overtaken)
    pump = filled.by_path(b"pump.pdf")
    assert pump
    filled.rename(pump.id, b"feed pump.pdf")
    assert filled.check() == []
    with filled.snapshot() as snapshot:
        numbers, matrix = snapshot.name_vectors()
    at = matrix[numbers.index(pump.number)]
    assert np.allclose(at, by(NEXT, "feed pump A title"), atol=1e-3)


def test_a_new_folder_of_the_model_is_recorded(filled: Store) -> None:
    moved = EmbedderKey(EMBEDDER.identity, EMBEDDER.name, EMBEDDER.dimensions, "/elsewhere")
    assert filled.want(moved) == EmbedderStatus(moved, None)


def test_the_vectors_of_an_older_database_stay_in_use(tmp_path: Path) -> None:
    path = tmp_path / "old.db"
    connection = open_writer(path)
    migrate(connection, path, MIGRATIONS[:1])
    run(connection, "INSERT INTO embedders (identity, name, dimensions) VALUES (?, ?, ?)", ("test-embedder-1", "t", 20))
    run(connection, "INSERT INTO collections (name) VALUES (x'')")
    run(
        connection,
        "INSERT INTO documents (path, collection, state, sequence, device, inode, size, mtime_ns, ctime_ns)"
        " VALUES (x'61', 1, 'pending', 1, 1, 1, 1, 1, 1)",
    )
    run(connection, "INSERT INTO name_vectors (document, embedder, text, vector) VALUES (1, 1, 'a', x'00')")
    connection.close()
    with Store.open(path) as store:
        assert store.embedding() == EmbedderStatus(EmbedderKey("test-embedder-1", "t", 20), None)
    reader = open_reader(path)
    assert rows(reader, "SELECT document, embedder, text FROM name_vectors") == [(1, 1, "a")]
    with pytest.raises(apsw.ReadOnlyError):
        run(reader, "DELETE FROM name_vectors")
    reader.close()
