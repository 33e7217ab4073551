"""The store records how each page was read, and a retry reads a document with skipped pages again."""

from pathlib import Path

import apsw

from appliance.store import Store
from appliance.store.database.connection import run, value
from appliance.store.database.migrations import MIGRATIONS, migrate
from ingest.types import Batch, DocumentInfo, Page, Source
from tests.appliance.store.filling import add, chunk, identity, key

PAGES: tuple[tuple[Source, str], ...] = (("text", ""), ("ocr", ""), ("skipped", "it is too large"), ("empty", ""))


def mixed(store: Store) -> str:
    document = store.queue.add_file(b"mixed.pdf", identity())
    sink = store.queue.open_revision(document, key("mixed"))
    sink.begin(DocumentInfo(len(PAGES), "Mixed"))
    pages = [
        Page(number, "oil", 595, 842, (), source=source, warning=warning)
        for number, (source, warning) in enumerate(PAGES, 1)
    ]
    sink.commit(Batch(tuple(pages), (chunk(0, 1, "oil"),), len(pages), "Mixed"))
    sink.complete()
    return document


def test_a_retry_reads_only_a_document_with_skipped_pages_again(store: Store) -> None:
    document, whole = mixed(store), add(store, b"whole.pdf", ["the pump"], number=2)
    assert store.queue.settle(document, key("mixed"))
    store.queue.requeue(document)
    assert not store.queue.settle(document, key("mixed"))
    with store.snapshot() as snapshot:
        assert snapshot.match("oil", limit=5)
    store.queue.requeue(whole)
    assert store.queue.settle(whole, key("the pump"))


def test_how_a_page_was_read_is_part_of_the_digest(store: Store, tmp_path: Path) -> None:
    mixed(store)
    before = store.digest()
    store._database.write(lambda connection: run(connection, "UPDATE pages SET source = 'text' WHERE number = 2"))
    assert store.digest() != before


def test_files_that_an_earlier_version_refused_are_queued_again(tmp_path: Path) -> None:
    connection = apsw.Connection(str(tmp_path / "docent.db"))
    migrate(connection, tmp_path / "docent.db", MIGRATIONS[:1])
    run(connection, "INSERT INTO collections (name) VALUES (x'')")
    for number, code in enumerate(("not_a_pdf", "no_text", "encrypted_pdf"), 1):
        run(
            connection,
            "INSERT INTO documents (path, collection, state, reason_code, sequence, device, inode, size, mtime_ns, ctime_ns)"
            " VALUES (?, 1, 'failed', ?, ?, 1, 1, 1, 1, 1)",
            (b"%d" % number, code, number),
        )
    migrate(connection, tmp_path / "docent.db")
    assert value(connection, "SELECT count(*) FROM documents WHERE state = 'pending'") == 2
