"""What the store promises of documents and their revisions, through its facade."""

from pathlib import Path

import pytest

from appliance.display.path_names import display_name
from appliance.errors import NotFound, UnknownDocument
from appliance.store import EmbedderKey, EmbedderStatus, Store
from ingest.types import DocumentInfo, FileIdentity
from tests.appliance.store.filling import EMBEDDER, add, batches, embed, fill, identity, key, texts_of

PUMP = ["the pump needs grease", "bearings wear out quickly", "close the valve first", "call the service hotline"]


def test_a_document_can_be_found_by_words_and_by_meaning(store: Store) -> None:
    document = add(store, b"manuals/pump.pdf", PUMP, "Pump manual")
    with store.snapshot() as snapshot:
        ((found, score),) = snapshot.match("greases", limit=10)
        assert score > 0
        assert snapshot.nearest(embed("the pump needs grease"), k=1)[0][0] == found
        (passage,) = snapshot.passages([found])
    assert (passage.document_id, passage.page, passage.text) == (document, 1, PUMP[0])
    assert (passage.collection, passage.heading, passage.title) == (b"manuals", ("Part", "Section 0"), "Pump manual")
    assert store.check() == []


def test_a_chunk_leads_back_to_its_words_and_its_page(store: Store) -> None:
    add(store, b"pump.pdf", PUMP)
    with store.snapshot() as snapshot:
        ((found, _),) = snapshot.match("valve", limit=10)
    words = store.chunk_words(found)
    page = store.page(found, words[0].page)
    assert [page.text[word.source_start : word.source_end] for word in words] == PUMP[2].split()
    assert words[1].box == (78.0, 100.5, 81.0, 112.25)
    assert (page.number, page.label, page.width) == (3, "3", 595.0)
    with pytest.raises(NotFound):
        store.page(found, 9)


def test_a_first_revision_is_found_as_it_grows(store: Store) -> None:
    document = store.queue.add_file(b"pump.pdf", identity())
    sink = store.queue.open_revision(document, key("pump"))
    sink.begin(DocumentInfo(4, ""))
    first, second = batches(PUMP, "Pump")
    sink.commit(first)
    assert texts_of(store, "grease OR valve") == [PUMP[0]]
    row = store.get(document)
    assert (row.state, row.pages, row.pages_done, row.chunks, row.title) == ("indexing", 4, 2, 2, "Pump")
    sink.commit(second)
    sink.complete()
    assert texts_of(store, "grease OR valve") == [PUMP[2], PUMP[0]]
    assert store.get(document).state == "indexed"
    assert store.check() == []


def test_the_old_revision_answers_until_the_new_one_is_complete(store: Store) -> None:
    document = add(store, b"pump.pdf", PUMP, "Old")
    assert store.queue.add_file(b"pump.pdf", identity(2)) == document
    sink = store.queue.open_revision(document, key("new"))
    fill(sink, ["the pump needs oil", PUMP[1]], "New")
    assert texts_of(store, "pump") == [PUMP[0]]
    assert store.check() == []
    sink.complete()
    assert texts_of(store, "pump") == ["the pump needs oil"]
    row = store.get(document)
    assert (row.title, row.pages, row.chunks, row.identity) == ("New", 2, 2, identity(2))
    assert store.check() == []


def test_known_vectors_are_returned(store: Store) -> None:
    document = add(store, b"pump.pdf", PUMP)
    sink = store.queue.open_revision(document, key("new"))
    known = sink.known_vectors([PUMP[1], "something new"])
    assert list(known) == [PUMP[1]]
    assert known[PUMP[1]] == pytest.approx(embed(PUMP[1]), abs=1e-3)


def test_a_failed_replacement_no_longer_answers(store: Store) -> None:
    document = add(store, b"pump.pdf", PUMP)
    store.queue.add_file(b"pump.pdf", identity(2))
    fill(store.queue.open_revision(document, key("new")), ["the pump needs oil"])
    store.queue.fail(document, "broken_pdf", "the cross-reference table is missing", "save it again")
    assert texts_of(store, "pump") == []
    row = store.get(document)
    assert (row.state, row.reason_code, row.reason) == ("failed", "broken_pdf", "the cross-reference table is missing")
    assert (row.hint, row.chunks, store.chunk_count()) == ("save it again", 0, 0)
    assert store.check() == []


def test_an_interrupted_revision_resumes_after_its_last_batch(store: Store, tmp_path: Path) -> None:
    document = store.queue.add_file(b"pump.pdf", identity())
    store.queue.open_revision(document, key("\n".join(PUMP))).commit(batches(PUMP, "A title")[0])
    store.close()
    with Store.open(tmp_path / "docent.db", embedder=EMBEDDER, embed_name=embed) as again:
        row = again.queue.next_pending()
        assert row is not None
        assert (row.id, row.state) == (document, "indexing")
        sink = again.queue.open_revision(document, key("\n".join(PUMP)))
        assert sink.progress().chunks_done == 2
        fill(sink, PUMP)
        sink.complete()
        digest = again.digest()
    with Store.open(tmp_path / "other.db", embedder=EMBEDDER, embed_name=embed) as other:
        add(other, b"pump.pdf", PUMP)
        assert other.digest() == digest


def test_other_content_drops_the_building_revision(store: Store) -> None:
    document = store.queue.add_file(b"pump.pdf", identity())
    outdated = store.queue.open_revision(document, key("pump"))
    outdated.commit(batches(PUMP, "A title")[0])
    sink = store.queue.open_revision(document, key("other"))
    assert sink.progress().chunks_done == 0
    assert texts_of(store, "pump") == []
    with pytest.raises(UnknownDocument):
        outdated.commit(batches(PUMP, "A title")[1])
    fill(sink, PUMP)
    sink.complete()
    assert store.check() == []


def test_a_removed_document_is_gone_and_its_sink_raises(store: Store) -> None:
    kept = add(store, b"keep.pdf", ["a text that stays", PUMP[0]])
    document = store.queue.add_file(b"a/pump.pdf", identity())
    sink = store.queue.open_revision(document, key("pump"))
    sink.commit(batches(PUMP, "A title")[0])
    store.remove(document)
    with pytest.raises(UnknownDocument):
        sink.commit(batches(PUMP, "A title")[1])
    with pytest.raises(UnknownDocument):
        store.get(document)
    with pytest.raises(UnknownDocument):
        store.remove(document)
    assert texts_of(store, "pump") == [PUMP[0]]
    assert store.collections() == {b""}
    assert store.check() == []
    assert store.queue.add_file(b"a/pump.pdf", identity()) not in (document, kept)


def test_a_touch_without_a_change_costs_nothing(store: Store) -> None:
    document = add(store, b"pump.pdf", PUMP)
    store.queue.add_file(b"pump.pdf", identity(2))
    assert not store.queue.settle(document, key("other"), identity(2))
    assert store.queue.settle(document, key("\n".join(PUMP)), identity(3))
    row = store.get(document)
    assert (row.state, row.identity) == ("indexed", identity(3))
    assert store.queue.next_pending() is None


def test_unreadable_content_is_not_read_again_until_requeued(store: Store) -> None:
    document = store.queue.add_file(b"pump.pdf", identity())
    store.queue.fail(document, "unsupported_type", "it is a picture", key=key("picture"))
    store.queue.add_file(b"pump.pdf", identity(2))
    assert store.get(document).reason == ""
    assert store.queue.settle(document, key("picture"), identity(2))
    assert (store.get(document).state, store.get(document).reason) == ("failed", "it is a picture")
    store.queue.requeue(document)
    assert store.get(document).state == "pending"
    assert not store.queue.settle(document, key("picture"), identity(2))


def test_a_result_for_an_outdated_file_leaves_it_in_the_queue(store: Store) -> None:
    store.queue.add_file(b"pump.pdf", identity())
    row = store.queue.next_pending()
    assert row is not None
    sink = store.queue.open_revision(row.id, key("pump"), identity(), ticket=row.ticket)
    fill(sink, PUMP)
    store.queue.add_file(b"pump.pdf", identity(2))
    sink.complete()
    store.queue.fail(row.id, "broken_pdf", "it was half written", ticket=row.ticket)
    again = store.get(row.id)
    assert (again.state, again.identity, again.chunks) == ("pending", identity(2), 4)
    assert store.queue.settle(row.id, key("pump"), identity(1), ticket=row.ticket)
    assert store.get(row.id).state == "pending"
    assert store.queue.settle(row.id, key("pump"), identity(2), ticket=again.ticket)
    assert store.get(row.id).state == "indexed"


def test_the_queue_is_first_come_first_served_after_interrupted_ones(store: Store) -> None:
    first, second, third = (store.queue.add_file(path, identity()) for path in (b"b.pdf", b"a.pdf", b"c.pdf"))
    store.queue.add_file(b"b.pdf", identity(2))
    store.queue.open_revision(third, key("c"))
    order: list[str] = []
    while (row := store.queue.next_pending(order)) is not None:
        order.append(row.id)
    assert order == [third, second, first]


def test_lists_page_by_path_whatever_its_bytes(store: Store) -> None:
    paths = sorted([b"a.pdf", b"b/\xff\n'\".pdf", b"b/c.pdf", "ü.pdf".encode(), b"z/1.pdf"])
    for path in reversed(paths):
        store.queue.add_file(path, identity())
    seen, cursor = [], None
    while True:
        rows, cursor = store.list_documents(limit=2, cursor=cursor)
        seen += [row.path for row in rows]
        if cursor is None:
            break
    assert seen == paths
    assert [row.path for row in store.list_documents(limit=9, collections={b"b", b"no"})[0]] == paths[1:3]
    assert store.list_documents(limit=9, state="failed") == ([], None)
    assert store.counts({b"b"}) == {"pending": 2, "indexing": 0, "indexed": 0, "failed": 0}
    assert display_name(paths[2]) == r"""b/\xff\n'".pdf"""


def test_an_absurd_file_identity_comes_back_unchanged(store: Store) -> None:
    absurd = FileIdentity(2**64 - 1, 2**63, 0, -(10**18), 10**22)
    document = store.queue.add_file(b"x.pdf", absurd)
    assert store.get(document).identity == absurd
    assert store.known_files()[b"x.pdf"].identity == absurd


def test_another_embedding_model_serves_an_empty_store_at_once(store: Store, tmp_path: Path) -> None:
    store.close()
    other = EmbedderKey("test-embedder-2", "other", 48)
    with Store.open(tmp_path / "docent.db", embedder=other, embed_name=embed) as opened:
        assert opened.embedding() == EmbedderStatus(other, None)
        assert opened.check() == []


def test_documents_are_found_by_displayed_path_inode_and_folder(store: Store) -> None:
    paths = [b"a/1.pdf", b"a/2/\xfe.pdf", b"a-b.pdf", b"a0.pdf", b"a"]
    for number, path in enumerate(paths):
        store.queue.add_file(path, identity(number))
    for path in paths:
        found = store.by_display(display_name(path))
        assert found is not None
        assert found.path == path
    assert store.by_display("a/2/\ufffd.pdf") is None
    assert [row.path for row in store.by_inode(1, 1)] == [b"a/2/\xfe.pdf"]
    assert store.by_inode(2, 1) == []
    assert store.paths_under(b"a") == [b"a", b"a/1.pdf", b"a/2/\xfe.pdf"]
    assert store.paths_under(b"a/1.pdf") == [b"a/1.pdf"]


@pytest.mark.parametrize("odd", ["half \ud83d pair", "nul \x00 byte", "bell \x07 \u202e bidi", "\ufeff \U0010ffff"])
def test_odd_characters_of_a_pdf_do_no_harm(store: Store, odd: str) -> None:
    sink = store.queue.open_revision(store.queue.add_file(b"a.pdf", identity()), key("odd"))
    fill(sink, [f"{odd} valve", odd], odd)
    sink.complete()
    with store.snapshot() as snapshot:
        ((found, _),) = snapshot.match("text : valve", limit=9)
        (passage,) = snapshot.passages([found])
    assert passage.text == f"{odd} valve".replace("\ud83d", "\ufffd")
    assert [passage.text[word.start : word.end] for word in store.chunk_words(found)] == passage.text.split()
    with store.snapshot() as snapshot:
        snapshot.match('"\ud800"', limit=9)  # must not raise
    assert store.check() == []


def test_a_reason_may_name_a_file_of_any_bytes(store: Store) -> None:
    document = store.queue.add_file(b"caf\xe9.pdf", identity())
    store.queue.fail(document, "unreadable", "cannot open caf\udce9.pdf", "chmod u+r caf\udce9.pdf")
    assert store.get(document).reason == "cannot open caf\\udce9.pdf"
