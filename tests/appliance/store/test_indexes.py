"""Vectors, full text and names: what they find, and how they follow changes."""

import numpy as np
import pytest

from appliance.errors import StoreError
from appliance.store import Store
from appliance.store.indexes.vectors import text_hash
from ingest.types import Batch
from tests.appliance.store.filling import DIMENSIONS, add, chunk, embed, identity, key, texts_of

TEXTS = [f"passage {word} of the lot" for word in ("one", "two", "three", "four", "five", "six", "seven")]


def test_nearest_ranks_by_the_exact_cosine(store: Store) -> None:
    add(store, b"a.pdf", TEXTS)
    query = embed("passage three")
    truth = sorted(((float(embed(text) @ query), text) for text in TEXTS), reverse=True)[:4]
    with store.snapshot() as snapshot:
        found = snapshot.nearest(query, k=4)
        passages = snapshot.passages([number for number, _ in found])
    assert [passage.text for passage in passages] == [text for _, text in truth]
    assert [score for _, score in found] == pytest.approx([score for score, _ in truth], abs=2e-3)


def test_a_search_can_be_restricted_to_collections_and_documents(store: Store) -> None:
    ids = {path: store.get(add(store, path, TEXTS)).number for path in (b"x/a.pdf", b"y/b.pdf", b"z/c.pdf")}
    query = embed(TEXTS[0])
    for collections, documents in (
        ({b"x"}, None),
        ({b"x", b"z", b"unknown"}, None),
        (None, [ids[b"y/b.pdf"]]),
        ({b"x", b"y"}, [ids[b"y/b.pdf"], ids[b"z/c.pdf"]]),
        (set(), None),
        ({b"unknown"}, None),
        (None, []),
    ):
        allowed = {
            number
            for path, number in ids.items()
            if (collections is None or path[:1] in collections) and (documents is None or number in documents)
        }
        with store.snapshot() as snapshot:
            near = snapshot.nearest(query, k=100, collections=collections, documents_only=documents)
            full = snapshot.match("passage", limit=100, collections=collections, documents_only=documents)
            for found in (near, full):
                assert {one.document for one in snapshot.passages([number for number, _ in found])} == allowed
                assert len(found) == len(allowed) * len(TEXTS)


def test_bm25_obeys_the_weights_of_its_columns(store: Store) -> None:
    by_name = store.get(add(store, b"valves.pdf", ["nothing to see"], "Plain")).number
    by_title = store.get(add(store, b"one.pdf", ["nothing to see"], "Valves")).number
    by_text = store.get(add(store, b"two.pdf", ["valves to see"], "Plain")).number
    with store.snapshot() as snapshot:
        for weights, best in (((9, 1, 1, 1), by_name), ((1, 9, 1, 1), by_title), ((1, 1, 1, 9), by_text)):
            ((found, _), *_) = snapshot.match("valve", limit=3, weights=weights)
            assert snapshot.passages([found])[0].document == best
        assert len(snapshot.match("name : valve", limit=3)) == 1


def test_diacritics_and_case_do_not_matter(store: Store) -> None:
    add(store, b"a.pdf", ["Überdruckventil geprüft"])
    assert texts_of(store, "uberdruckventil AND geprüft") == ["Überdruckventil geprüft"]


def test_a_malformed_query_raises_a_store_error(store: Store) -> None:
    with pytest.raises(StoreError), store.snapshot() as snapshot:
        snapshot.match('"unfinished', limit=1)


def test_a_rename_changes_names_and_collection_and_nothing_else(store: Store) -> None:
    document = add(store, b"old/pump.pdf", TEXTS, "Title")
    with store.snapshot() as snapshot:
        before = snapshot.match("text : passage", limit=100)
    store.rename(document, b"new/valve.pdf", identity(7))
    row = store.get(document)
    assert (row.id, row.path, row.collection, row.identity) == (document, b"new/valve.pdf", b"new", identity(7))
    assert row.state == "indexed"
    with store.snapshot() as snapshot:
        assert {number for number, _ in snapshot.match("text : passage", limit=100)} == {number for number, _ in before}
        assert snapshot.match("name : pump", limit=1) == []
        assert len(snapshot.match("name : (valve AND new)", limit=100)) == len(TEXTS)
        assert snapshot.nearest(embed(TEXTS[0]), k=3, collections={b"old"}) == []
        assert len(snapshot.nearest(embed(TEXTS[0]), k=3, collections={b"new"})) == 3
        _, names = snapshot.name_vectors()
    assert names[0] == pytest.approx(embed("new valve Title"), abs=1e-3)
    assert store.check() == []


def test_a_rename_onto_another_document_removes_that(store: Store) -> None:
    first = add(store, b"a.pdf", TEXTS)
    add(store, b"b.pdf", ["something else"])
    store.rename(first, b"b.pdf")
    assert [row.id for row in store.list_documents(limit=9)[0]] == [first]
    assert texts_of(store, "something") == []
    assert store.check() == []


def test_a_rename_before_anything_was_read_is_just_a_rename(store: Store) -> None:
    document = store.queue.add_file(b"a.pdf", identity())
    store.rename(document, b"c/b.pdf")
    assert store.get(document).path == b"c/b.pdf"
    assert store.collections() == {b"c"}
    assert store.check() == []


def test_one_name_vector_for_each_document_that_can_be_found(store: Store) -> None:
    with store.snapshot() as snapshot:
        assert snapshot.name_vectors()[1].shape == (0, DIMENSIONS)
    found = store.get(add(store, b"x/pump_2022.pdf", TEXTS, "")).number
    store.queue.add_file(b"x/later.pdf", identity())
    with store.snapshot() as snapshot:
        numbers, matrix = snapshot.name_vectors()
        assert numbers == [found]
        assert matrix[0] == pytest.approx(embed("x pump 2022"), abs=1e-3)
        assert snapshot.name_vectors({b"y"})[0] == []


def test_a_late_title_reaches_all_chunks(store: Store) -> None:
    document = store.queue.add_file(b"a.pdf", identity())
    sink = store.queue.open_revision(document, key("a"))
    sink.commit(Batch((), (chunk(0, 1, TEXTS[0]),), 1, "Draft"))
    sink.commit(Batch((), (chunk(1, 2, TEXTS[1]),), 2, "Overhaul"))
    with store.snapshot() as snapshot:
        assert len(snapshot.match("about : overhaul", limit=9)) == 2
        assert snapshot.match("about : draft", limit=9) == []
    assert store.check() == []


def test_chunks_with_the_same_text_share_a_vector_until_the_last_is_deleted(store: Store) -> None:
    first = add(store, b"a.pdf", ["the same words", "the same words"])
    second = add(store, b"b.pdf", ["the same words"])
    sink = store.queue.open_revision(store.queue.add_file(b"c.pdf", identity()), key("c"))
    store.remove(first)
    assert sink.known_vectors(["the same words"])
    with store.snapshot() as snapshot:
        assert len(snapshot.nearest(embed("the same words"), k=9)) == 1
    store.remove(second)
    assert not sink.known_vectors(["the same words"])
    assert store.check() == []


def test_vectors_are_returned_by_chunk(store: Store) -> None:
    add(store, b"a.pdf", TEXTS[:2])
    with store.snapshot() as snapshot:
        numbers = sorted(number for number, _ in snapshot.match("passage", limit=9))
        found, matrix = snapshot.vectors([*reversed(numbers), 999])
    assert found == numbers
    assert matrix == pytest.approx(np.stack([embed(text) for text in TEXTS[:2]]), abs=1e-3)


def test_different_texts_have_different_hashes_even_broken_ones() -> None:
    assert len({text_hash(text) for text in ("a", "b", "\ud800", "\ud801", "")}) == 5
