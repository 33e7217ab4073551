"""Failed documents are retried in time, bad or large ones hold up no others, and copies are read once."""

import errno
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from threading import Event

import pytest

from appliance.errors import StoreFull, StoreRefused
from appliance.library.attempt import Attempt, Surroundings
from appliance.library.backoff import DELAYS, ENDINGS_ALLOWED, FAILED_AT, GIVEN_UP_AT
from appliance.library.lanes import SMALL_BYTES
from appliance.store import Store
from appliance.store.database.connection import open_writer, run
from appliance.store.database.migrations import MIGRATIONS, migrate
from ingest.errors import BrokenPdf, ParserKilled, ReadOtherwise, Stopped, Unreadable
from ingest.types import DocumentInfo
from tests.appliance.library.intake_driver import Driver, driving
from tests.appliance.store.filling import EMBEDDER, batches, embed, identity, key, texts_of
from tests.live import wait_until

LINES = [f"lamp {number} burns {number} hours" for number in range(7)]
HOUR = DELAYS[-1] * 1.2
LARGE = "x" + " " * SMALL_BYTES


def disk_error() -> Unreadable:
    error = Unreadable("reading", "input/output error", "check the disk")
    error.__cause__ = OSError(errno.EIO, "input/output error")
    return error


def denied() -> Unreadable:
    error = Unreadable("reading", "permission denied", "")
    error.__cause__ = PermissionError(errno.EACCES, "permission denied")
    return error


@pytest.fixture
def driver(tmp_path: Path, store: Store) -> Iterator[Driver]:
    with driving(tmp_path, store) as started:
        yield started


def test_a_disk_error_is_retried_automatically_and_not_before_its_time(driver: Driver) -> None:
    driver.reader.failures[b"a.pdf"] = [disk_error()]
    driver.write("a.pdf", *LINES)
    waits = driver.wait_for_attempts("a.pdf", 1)
    assert (waits.state, waits.reason, waits.chunks) == ("pending", "input/output error", 2)
    assert waits.next_attempt == pytest.approx(driver.now + DELAYS[0], abs=DELAYS[0] * 0.2)
    driver.turn(DELAYS[0] * 0.8)
    driver.write("b.pdf", "other")
    driver.wait_for("b.pdf", "indexed")
    assert driver.row("a.pdf").state == "pending"
    driver.turn(DELAYS[0] * 0.4)
    done = driver.wait_for("a.pdf", "indexed")
    assert (done.attempts, done.next_attempt, done.reason) == (0, None, "")
    assert driver.reader.embedded == {
        **dict.fromkeys(LINES, 1),
        "other": 1,
    }  # what was committed was not embedded again


def test_failures_are_counted_from_the_last_progress(driver: Driver) -> None:
    driver.reader.failures[b"a.pdf"] = [disk_error() for _ in range(3)]
    driver.write("a.pdf", *LINES)
    for begun in range(1, 4):
        driver.wait_until_begun("a.pdf", begun)
        driver.wait_for_attempts("a.pdf", 1)
        driver.turn(DELAYS[0] * 1.2)
    driver.wait_for("a.pdf", "indexed")


def test_a_document_that_reads_differently_after_an_interruption_starts_again_and_answers_meanwhile(
    driver: Driver,
) -> None:
    driver.reader.failures[b"a.pdf"] = [ReadOtherwise("reading", "page 1 is read otherwise than before")]
    gate = driver.reader.hold(b"a.pdf")
    driver.write("a.pdf", *LINES)
    driver.wait_until_begun("a.pdf", 2)
    assert len(texts_of(driver.store, "lamp")) == 2  # of the first reading: the second is not complete
    gate.set()
    driver.wait_for("a.pdf", "indexed")
    assert texts_of(driver.store, "lamp") == sorted(LINES)
    assert driver.reader.embedded[LINES[0]] == 2


def test_a_lasting_failure_fails_the_document_and_withdraws_the_outdated_text(driver: Driver) -> None:
    driver.write("a.pdf", "the old text")
    driver.wait_for("a.pdf", "indexed")
    driver.reader.refusals[b"a.pdf"] = [disk_error() for _ in range(FAILED_AT)]
    driver.write("a.pdf", *LINES)
    for failures in range(1, FAILED_AT):
        waits = driver.wait_for_attempts("a.pdf", failures)
        assert (waits.state, texts_of(driver.store, "old")) == ("pending", ["the old text"])
        driver.turn(DELAYS[failures - 1] * 1.2)
    failed = driver.wait_for_attempts("a.pdf", FAILED_AT)
    assert (failed.state, texts_of(driver.store, "old")) == ("failed", [])
    driver.turn(DELAYS[FAILED_AT - 1] * 1.2)
    driver.wait_for("a.pdf", "indexed")


def test_a_partly_read_new_content_answers_when_the_old_one_is_withdrawn(driver: Driver) -> None:
    driver.write("a.pdf", "the old text")
    driver.wait_for("a.pdf", "indexed")
    driver.reader.failures[b"a.pdf"] = [disk_error()]
    driver.reader.refusals[b"a.pdf"] = []
    driver.write("a.pdf", *LINES)
    driver.wait_for_attempts("a.pdf", 1)
    driver.reader.refusals[b"a.pdf"] = [disk_error() for _ in range(FAILED_AT - 1)]
    for failures in range(1, FAILED_AT):
        driver.wait_for_attempts("a.pdf", failures)
        driver.turn(DELAYS[failures - 1] * 1.2)
    failed = driver.wait_for_attempts("a.pdf", FAILED_AT)
    assert (failed.state, texts_of(driver.store, "old OR lamp")) == ("failed", LINES[:2])
    assert driver.store.check() == []


def test_a_file_without_permission_fails_at_once_and_is_retried(driver: Driver) -> None:
    driver.reader.refusals[b"a.pdf"] = [denied()]
    driver.write("a.pdf", *LINES)
    failed = driver.wait_for_attempts("a.pdf", 1)
    assert failed.state == "failed"
    assert "chmod" in failed.hint
    driver.turn(DELAYS[0] * 1.2)
    driver.wait_for("a.pdf", "indexed")


def test_a_broken_file_is_retried_only_on_request_or_when_it_changes(driver: Driver) -> None:
    driver.reader.failures[b"a.pdf"] = [BrokenPdf("reading", "it is damaged", "repair it") for _ in range(2)]
    driver.write("a.pdf", *LINES)
    failed = driver.wait_for("a.pdf", "failed")
    for _ in range(3):
        driver.turn(HOUR)
        driver.idle()
    assert driver.reader.begun[b"a.pdf"] == 1
    driver.intake.retry(failed.id)
    wait_until(lambda: driver.reader.begun[b"a.pdf"] == 2, "another attempt")
    driver.wait_for("a.pdf", "failed")
    driver.write("a.pdf", *LINES, "mended")
    assert driver.wait_for("a.pdf", "indexed")


def test_a_document_that_may_itself_be_the_cause_is_given_up(driver: Driver) -> None:
    killed = [ParserKilled("reading", "its reader was killed", "see the memory") for _ in range(GIVEN_UP_AT - 1)]
    driver.reader.refusals[b"a.pdf"] = [*killed, ParserKilled("reading", "its reader was killed", "see the memory")]
    driver.write("a.pdf", *LINES)
    for failures in range(1, GIVEN_UP_AT):
        driver.wait_for_attempts("a.pdf", failures)
        driver.turn(HOUR)
    wait_until(lambda: driver.row("a.pdf").attempts == GIVEN_UP_AT, "the last attempt")
    given_up = driver.row("a.pdf")
    assert (given_up.state, given_up.next_attempt) == ("failed", None)


def test_attempts_survive_a_restart_which_retries_at_once(tmp_path: Path, store: Store) -> None:
    with driving(tmp_path, store) as driver:
        driver.reader.refusals[b"a.pdf"] = [disk_error()]
        driver.write("a.pdf", *LINES)
        driver.wait_for_attempts("a.pdf", 1)
    again = Driver(tmp_path, store)
    again.reader.refusals[b"a.pdf"] = [disk_error()]
    again.intake.start()
    assert again.wait_for_attempts("a.pdf", 2).next_attempt == pytest.approx(again.now + DELAYS[1], abs=5)
    again.intake.stop()


def test_a_document_that_ends_the_service_lets_the_others_go_first(tmp_path: Path, store: Store) -> None:
    driver = Driver(tmp_path, store)
    driver.write("bad.pdf", *LINES)
    for _ in range(ENDINGS_ALLOWED + 1):  # begun without progress, as when the service dies of it
        store.queue.open_revision(driver.row("bad.pdf").id, key("bad"))
    driver.write("good.pdf", "good")
    driver.intake.start()
    driver.wait_for("good.pdf", "indexed")
    assert driver.row("bad.pdf").state == "pending"
    assert "ended" in driver.row("bad.pdf").reason
    driver.turn(DELAYS[0] * 1.2)
    driver.wait_for("bad.pdf", "indexed")
    driver.intake.stop()


@pytest.mark.parametrize("hindrance", [Stopped("reading", "the service is stopping"), StoreFull("writing", "full", "")])
def test_a_stop_or_a_full_disk_does_not_count_against_the_document(
    tmp_path: Path, store: Store, hindrance: Exception
) -> None:
    driver = Driver(tmp_path, store)
    driver.write("a.pdf", *LINES)
    driver.reader.hindrances[b"a.pdf"] = [hindrance] * (ENDINGS_ALLOWED + 1)
    around = Surroundings(report=lambda *_, **__: None, permission_hint=lambda _: "", library_there=lambda: True)
    for _ in range(ENDINGS_ALLOWED + 1):
        with suppress(StoreFull):
            Attempt(store, driver.row("a.pdf"), Event(), around, lambda _: True).run(driver.reader.open)
    assert not driver.reader.hindrances[b"a.pdf"]
    assert store.queue.interrupted(1) == []


def test_a_document_that_the_store_refuses_starts_again_and_holds_up_no_other(driver: Driver) -> None:
    driver.write("a.pdf", *LINES)
    driver.reader.failures[b"a.pdf"] = [StoreRefused("writing", "it does not fit what is there", "")]
    waits = driver.wait_for_attempts("a.pdf", 1)
    assert "does not fit" in waits.reason
    driver.write("b.pdf", "other")
    driver.wait_for("b.pdf", "indexed")
    driver.turn(DELAYS[0] * 1.2)
    driver.wait_for("a.pdf", "indexed")
    assert driver.reader.embedded[LINES[0]] == 2
    assert texts_of(driver.store, "lamp") == sorted(LINES)


def test_a_batch_that_was_committed_before_is_refused(store: Store) -> None:
    document = store.queue.add_file(b"a.pdf", identity())
    sink = store.queue.open_revision(document, key("a"))
    sink.begin(DocumentInfo(7, "Lamps"))
    first, *_ = batches(LINES, "Lamps")
    sink.commit(first)
    with pytest.raises(StoreRefused, match="does not fit"):
        sink.commit(first)


def test_documents_read_by_an_older_version_are_read_again_when_the_queue_is_empty(driver: Driver) -> None:
    driver.write("old.pdf", *LINES)
    driver.write("other.pdf", "other")
    old = driver.wait_for("old.pdf", "indexed")
    driver.wait_for("other.pdf", "indexed")
    with open_writer(driver.store._database.path) as connection:
        run(connection, "UPDATE revisions SET chunker = chunker - 1 WHERE document = ?", (old.number,))
    driver.intake.stop()
    again = Driver(driver.root.parent, driver.store)
    gate = again.reader.hold(b"old.pdf")
    again.intake.start()
    wait_until(lambda: again.reader.begun[b"old.pdf"], "the document to be read again")
    assert texts_of(driver.store, "lamp") == sorted(LINES)  # of the older reading
    gate.set()
    again.wait_for("old.pdf", "indexed")
    wait_until(lambda: not driver.store.queue.requeue_outdated(1), "nothing old to be left")
    assert again.reader.begun == {b"old.pdf": 1}
    again.intake.stop()


def test_while_the_librarys_disk_is_unmounted_nothing_fails_and_nothing_is_deleted(driver: Driver) -> None:
    away = driver.root.with_name("away")
    driver.write("read.pdf", "was read")
    driver.wait_for("read.pdf", "indexed")
    driver.reader.hold(b"a.pdf")
    driver.write("a.pdf", *LINES)
    driver.wait_until_begun("a.pdf")
    driver.reader.failures[b"a.pdf"] = [disk_error()]
    driver.root.rename(away)
    driver.reader.gates[b"a.pdf"].set()
    driver.idle_at("a.pdf")
    driver.intake.look(b"read.pdf")
    assert (driver.row("a.pdf").attempts, driver.row("read.pdf").state) == (0, "indexed")
    away.rename(driver.root)
    driver.turn(0)
    driver.wait_for("a.pdf", "indexed")


def test_a_clock_that_was_set_back_holds_up_nothing(driver: Driver) -> None:
    driver.reader.refusals[b"a.pdf"] = [disk_error()]
    driver.write("a.pdf", *LINES)
    driver.wait_for_attempts("a.pdf", 1)
    driver.turn(-900_000)
    driver.wait_for("a.pdf", "indexed")


def test_small_documents_do_not_wait_for_two_large_ones_nor_the_large_for_the_small(driver: Driver) -> None:
    gates = [driver.reader.hold(path) for path in (b"large1.pdf", b"large2.pdf")]
    for number in (1, 2):
        driver.write(f"large{number}.pdf", f"large {number}", LARGE, "end")
        driver.wait_until_begun(f"large{number}.pdf")
    for number in range(5):
        driver.write(f"small{number}.pdf", f"small {number}")
    for number in range(5):
        driver.wait_for(f"small{number}.pdf", "indexed")
    driver.write("large3.pdf", "large 3", LARGE, "end")
    assert {driver.row(f"large{number}.pdf").state for number in (1, 2)} == {"indexing"}
    assert driver.row("large3.pdf").state == "pending"  # there is no fourth lane
    for gate in gates:
        gate.set()
    driver.wait_for("large3.pdf", "indexed")


def test_a_large_document_is_read_in_its_turn_however_many_small_ones_come(tmp_path: Path, store: Store) -> None:
    driver = Driver(tmp_path, store)
    driver.write("large.pdf", "large", LARGE)
    for number in range(30):
        driver.write(f"small{number}.pdf", f"small {number}")
    assert store.queue.next_pending(order="age") == driver.row("large.pdf")
    assert store.queue.next_pending(order="size") == driver.row("small0.pdf")
    assert store.queue.next_pending([driver.row("small0.pdf").id], "size", SMALL_BYTES) == driver.row("small1.pdf")


def test_two_copies_dropped_together_are_read_once(driver: Driver) -> None:
    gate = driver.reader.hold(b"a.pdf")
    driver.write("a.pdf", *LINES)
    driver.wait_until_begun("a.pdf")
    driver.write("b.pdf", *LINES)
    driver.write("c.pdf", "other")
    driver.wait_for("c.pdf", "indexed")  # no other document waits with the copy
    assert driver.row("b.pdf").state == "pending"
    gate.set()
    driver.wait_for("b.pdf", "indexed")
    assert driver.reader.begun == {b"a.pdf": 1, b"c.pdf": 1}


def test_a_copy_is_read_if_the_first_reading_ends_without_success(driver: Driver) -> None:
    gate = driver.reader.hold(b"a.pdf")
    driver.write("a.pdf", *LINES)
    driver.wait_until_begun("a.pdf")
    driver.write("b.pdf", *LINES)
    driver.delete("a.pdf")
    gate.set()
    driver.wait_for("b.pdf", "indexed")


def test_many_copies_are_all_indexed_and_one_is_read(driver: Driver) -> None:
    gate = driver.reader.hold(b"first.pdf")
    driver.write("first.pdf", *LINES)
    driver.wait_until_begun("first.pdf")
    for number in range(80):
        driver.write(f"{number}.pdf", *LINES)
    gate.set()
    for number in range(80):
        driver.wait_for(f"{number}.pdf", "indexed")
    assert driver.reader.begun.total() == 1


def test_a_passing_failure_recorded_by_an_older_schema_is_retried(tmp_path: Path) -> None:
    path = tmp_path / "old.db"
    connection = open_writer(path)
    migrate(connection, path, MIGRATIONS[:1])
    run(connection, "INSERT INTO collections (id, name) VALUES (1, x'')")
    for number, code, failed in ((1, "unreadable", ""), (2, "broken_pdf", "abc")):
        run(
            connection,
            "INSERT INTO documents (path, collection, state, reason_code, failed_key, device, inode, size, mtime_ns,"
            " ctime_ns, sequence) VALUES (?, 1, 'failed', ?, ?, 1, 1, 1, 1, 1, ?)",
            (b"%d.pdf" % number, code, failed, number),
        )
    connection.close()
    with Store.open(path, embedder=EMBEDDER, embed_name=embed) as store:
        assert store.queue.next_due() == 0
        assert [store.get(one).path for one in store.queue.release(1.0)] == [b"1.pdf"]
        assert store.queue.add_file(b"3.pdf", identity(3))
