"""Reports on how documents are read: the work left, revisions, the words of a page."""

from dataclasses import replace

import pytest

from appliance.errors import NotFound
from appliance.store import Store
from appliance.store.database.connection import run
from appliance.store.rows import Skipped, WorkLeft
from ingest.types import Batch, DocumentInfo, Page
from tests.appliance.store.filling import add, batches, identity, key


def test_the_work_left_counts_known_pages_and_otherwise_bytes(store: Store) -> None:
    add(store, b"done.pdf", ["one", "two"], number=1)
    begun = store.queue.add_file(b"begun.pdf", identity(2))
    sink = store.queue.open_revision(begun, key("begun"))
    sink.begin(DocumentInfo(5, ""))
    sink.commit(batches(["x", "y"], "t")[0])
    store.queue.add_file(b"new.pdf", identity(3))
    store.queue.fail(store.queue.add_file(b"bad.pdf", identity(4)), "broken_pdf", "it is broken")
    assert store.work_left() == WorkLeft(documents=2, pages=3, unopened=1, unopened_bytes=1003)


def test_a_replaced_document_counts_as_unopened_until_its_new_content_is_opened(store: Store) -> None:
    add(store, b"a.pdf", ["one", "two"], number=1)
    store.queue.add_file(b"a.pdf", identity(9))
    assert store.work_left() == WorkLeft(documents=1, unopened=1, unopened_bytes=1009)


def test_the_work_left_can_be_restricted_to_collections(store: Store) -> None:
    store.queue.add_file(b"closed/a.pdf", identity(1))
    assert store.work_left({b""}) == WorkLeft()
    assert store.work_left({b"closed"}).documents == 1


def test_announcing_records_the_number_of_pages_before_the_first_batch(store: Store) -> None:
    document = store.queue.add_file(b"scan.pdf", identity(1))
    sink = store.queue.open_revision(document, key("scan"))
    sink.begin(DocumentInfo(40, "A scan"))
    assert store.get(document).pages == 0
    reports: list[int] = []
    sink.on_progress = reports.append
    sink.announce(0)
    assert (store.get(document).pages, store.get(document).pages_done) == (40, 0)
    for recognised in (0, 3, 3):
        sink.announce(recognised)
    assert reports == [0, 3]  # only what is news is reported
    sink.commit(batches(["one"], "t")[0])
    assert reports == [0, 3, 3]
    assert sink.commits == 1


def test_unreadable_pages_are_counted_by_document_and_in_total(store: Store) -> None:
    document = add(store, b"closed/a.pdf", ["one", "two"], number=1)
    assert (store.get(document).skipped, store.skipped()) == (0, Skipped())
    sink = store.queue.open_revision(store.queue.add_file(b"scan.pdf", identity(2)), key("scan"))
    sink.begin(DocumentInfo(3, ""))
    sink.commit(batches(["one"], "t")[0])
    sink.commit(Batch(tuple(Page(n, "", 9.0, 9.0, (), source="skipped") for n in (2, 3)), (), 3, "t"))
    found = store.by_path(b"scan.pdf")
    assert found is not None
    assert found.skipped == 2
    assert store.skipped() == store.skipped({b""}) == Skipped(documents=1, pages=2)
    assert store.skipped({b"closed"}) == Skipped()


def test_the_revision_is_the_one_that_answers(store: Store) -> None:
    document = store.queue.add_file(b"a.pdf", identity(1))
    assert store.revision(document) is None
    add(store, b"a.pdf", ["one", "two"])
    found = store.revision(document)
    assert found is not None
    assert (found.sha256, found.pages, found.pages_done, found.complete) == (key("one\ntwo").sha256, 2, 2, True)


def test_a_page_comes_with_the_words_of_its_passages(store: Store) -> None:
    document = add(store, b"a.pdf", ["the first page", "the second page"])
    read = store.read_page(document, 2)
    assert read is not None
    assert read.page is not None
    assert read.page.text == "the second page"
    assert [read.page.text[word.source_start : word.source_end] for word in read.words] == ["the", "second", "page"]
    missing = store.read_page(document, 3)
    assert missing is not None
    assert missing.page is None


def test_how_a_document_was_read_is_kept_with_its_revision(store: Store) -> None:
    document = store.queue.add_file(b"a.pdf", identity(1))
    assert store.reading(document) is None
    sink = store.queue.open_revision(document, key("a"))
    sink.begin(DocumentInfo(5, "T", author="A. Writer", created="2022-07-29T06:03:21-04:00", language="de-AT"))
    for batch in batches(["one", "two"], "T"):
        rows = [replace(one, chunk=replace(one.chunk, table_rows=4)) for one in batch.chunks]
        sink.commit(replace(batch, chunks=tuple(rows)))
    damaged = [Page(number, "", 0.0, 0.0, (), source="skipped", warning="it is damaged") for number in (3, 4)]
    sink.commit(Batch((*damaged, Page(5, "scanned", 9.0, 9.0, (), source="ocr")), (), 5, "T"))
    sink.complete()
    found = store.reading(document)
    assert found is not None
    assert (found.author, found.created, found.language) == ("A. Writer", "2022-07-29T06:03:21-04:00", "de-AT")
    assert (found.table_rows, found.revision.sha256) == (8, key("a").sha256)
    assert found.sources == {"text": 2, "skipped": 2, "ocr": 1}
    assert found.troubles == {"it is damaged": (3, 4)}


def test_uncounted_table_rows_are_not_reported_as_zero(store: Store) -> None:
    document = add(store, b"a.pdf", ["one", "two"])
    store._database.write(lambda connection: run(connection, "UPDATE chunks SET table_rows = NULL WHERE ordinal = 1"))
    found = store.reading(document)
    assert found is not None
    assert found.table_rows is None


def test_a_passage_of_another_document_is_not_found(store: Store) -> None:
    document = add(store, b"a.pdf", ["alpha"], number=1)
    other = add(store, b"b.pdf", ["beta"], number=2)
    with store.snapshot() as snapshot:
        chunk = f"c{snapshot.match('text : beta', limit=1)[0][0]}"
    assert store.read_page(other, 1, chunk) is not None
    with pytest.raises(NotFound):
        store.read_page(document, 1, chunk)
