"""What happens to files in the library happens to the answers: add, replace, move, delete, and what cannot be read."""

import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from threading import Event

import pytest

from appliance.display.path_names import display_name
from appliance.errors import ApiError
from appliance.library.attempt import DocumentReading, OpenDocument
from appliance.store.rows import Trouble
from ingest.types import Sink
from tests.conftest import SAMPLES
from tests.live import FAST, Live, live_service, short_home, wait_until
from tests.mounts import Mounts
from tests.permissions import modes_count

POLICY = (SAMPLES / "cold-store-safety-policy.pdf").read_bytes()
MANUAL = (SAMPLES / "tideline-400-watermaker-manual.pdf").read_bytes()
QUESTION = "How long may a person work alone in a freezer room?"


def found_in(live: Live, question: str = QUESTION) -> set[str]:
    return {hit.document for hit in live.client.search(question).results}


def test_a_dropped_file_is_found_and_a_deleted_one_is_not(live: Live) -> None:
    assert live.drop("policy.pdf", POLICY).state == "indexed"
    assert found_in(live) == {"policy.pdf"}
    (live.library / "policy.pdf").unlink()
    wait_until(lambda: live.document("policy.pdf") is None, "the document to go")
    assert found_in(live) == set()


def test_a_rename_keeps_the_id_and_embeds_nothing(live: Live) -> None:
    before = live.drop("policy.pdf", POLICY)
    (live.library / "moved").mkdir()
    (live.library / "policy.pdf").rename(live.library / "moved" / "rules.pdf")
    after = wait_until(lambda: live.document("moved/rules.pdf"), "the new name")
    assert (after.id, after.state, after.collection) == (before.id, "indexed", "moved")
    assert found_in(live) == {"moved/rules.pdf"}


def test_a_folder_that_is_renamed_takes_its_documents_along(live: Live) -> None:
    before = live.drop("old/policy.pdf", POLICY)
    (live.library / "old").rename(live.library / "new")
    after = wait_until(lambda: live.document("new/policy.pdf"), "the new folder")
    assert after.id == before.id
    assert live.document("old/policy.pdf") is None


def test_a_replaced_file_answers_with_its_new_content_under_the_same_id(live: Live) -> None:
    before = live.drop("policy.pdf", POLICY)
    staged = live.places.home / "staged.pdf"
    staged.write_bytes(MANUAL)
    staged.replace(live.library / "policy.pdf")
    wait_until(lambda: any("A24" in hit.text for hit in live.client.search("alarm A24").results), "the new content")
    after = live.wait_for("policy.pdf", "indexed")
    assert after.id == before.id
    assert "freezer" not in " ".join(hit.text for hit in live.client.search(QUESTION).results)


def test_what_changed_while_the_service_was_down_is_followed_at_the_start() -> None:
    with short_home() as home:
        with live_service(Path(home)) as live:
            kept = live.drop("kept.pdf", POLICY)
            live.drop("gone.pdf", MANUAL)
        library = Path(home) / "library"
        (library / "gone.pdf").unlink()
        (library / "kept.pdf").rename(library / "renamed.pdf")
        with live_service(Path(home)) as live:
            renamed = live.wait_for("renamed.pdf")
            assert (renamed.id, renamed.state) == (kept.id, "indexed")
            assert live.document("gone.pdf") is None
            assert live.document("kept.pdf") is None


BAD = {
    "song.pdf": (b"ID3\x04\x00 la la la", "unsupported_type"),
    "empty.pdf": (b"", "empty"),
    "truncated.pdf": (POLICY[:400], "broken"),
}


def test_files_that_cannot_be_read_say_why_and_stop_nothing(live: Live) -> None:
    for name, (content, _) in BAD.items():
        (live.library / name).write_bytes(content)
    assert live.drop("policy.pdf", POLICY).state == "indexed"
    for name in BAD:
        failed = live.wait_for(name)
        assert failed.state == "failed"
        assert failed.reason
        assert failed.hint
    assert found_in(live) == {"policy.pdf"}


def test_a_symlink_is_not_followed_and_says_so(live: Live) -> None:
    secret = live.places.home / "secret.pdf"
    secret.write_bytes(POLICY)
    (live.library / "link.pdf").symlink_to(secret)
    failed = live.wait_for("link.pdf")
    assert failed.state == "failed"
    assert "link" in (failed.reason or "")


def test_a_folder_named_like_a_pdf_is_reported_and_its_files_are_read(live: Live) -> None:
    (live.library / "folder.pdf").mkdir()
    live.drop("folder.pdf/inner.pdf", POLICY)
    assert live.wait_for("folder.pdf/inner.pdf").state == "indexed"
    told = live.wait_for("folder.pdf")
    assert told.state == "failed"
    assert "folder" in (told.reason or "")
    with pytest.raises(ApiError, match="folder"):
        live.client.remove(told.id)
    assert (live.library / "folder.pdf" / "inner.pdf").exists()


@pytest.mark.parametrize(
    "name", [b"line\nfeed.pdf", b"quo\"te's.pdf", b"bad\xff\xfebytes.pdf", "ünïcode–名.pdf".encode()]
)
def test_odd_names_are_read_and_shown(live: Live, name: bytes) -> None:
    target = os.path.join(os.fsencode(live.library), name)
    with open(target, "wb") as file:
        file.write(POLICY)
    shown = display_name(name)
    assert live.wait_for(shown).state == "indexed"
    assert found_in(live) == {shown}


def test_an_unreadable_file_gives_the_command_that_makes_it_readable() -> None:
    with modes_count(), short_home() as home, live_service(Path(home)) as live:
        path = live.library / "closed.pdf"
        path.write_bytes(POLICY)
        path.chmod(0)
        failed = live.wait_for("closed.pdf")
        assert failed.state == "failed"
        assert f"chmod u+r {path}" in (failed.hint or "")
        path.chmod(0o600)
        assert live.wait_for("closed.pdf", "indexed")


def test_a_failed_file_that_is_repaired_is_read_again_automatically(live: Live) -> None:
    live.drop("policy.pdf", POLICY[:400])
    shutil.copy(SAMPLES / "cold-store-safety-policy.pdf", live.library / "policy.pdf")
    assert live.wait_for("policy.pdf", "indexed")


def test_a_full_rescan_finds_what_no_event_reported() -> None:
    settings = FAST.model_copy(update={"library": FAST.library.model_copy(update={"rescan_seconds": 1.0})})
    with short_home() as home, live_service(Path(home), settings) as live:
        live.context.intake._watch._observer.unschedule_all()  # type: ignore[union-attr]  # as if inotify lost them
        assert live.drop("policy.pdf", POLICY).state == "indexed"


class _Counted:
    """Opens files as the service does, and counts how often one is parsed."""

    def __init__(self, real: OpenDocument) -> None:
        self._real = real
        self.parsed = 0

    @contextmanager
    def __call__(self, path: bytes, stop: Event) -> Iterator[DocumentReading]:
        with self._real(path, stop) as reading:
            read_into = reading.read_into

            def counted(sink: Sink) -> None:
                self.parsed += 1
                read_into(sink)

            reading.read_into = counted  # type: ignore[method-assign]
            yield reading


def test_a_touch_of_a_broken_file_costs_no_parsing_and_a_retry_parses_it_again(live: Live) -> None:
    workers = live.context.intake.workers
    counted = workers.open_document = _Counted(workers.open_document)
    failed = live.drop("broken.pdf", POLICY[:400])
    assert (failed.state, counted.parsed) == ("failed", 1)
    os.utime(live.library / "broken.pdf", (1_000_000_000, 1_000_000_000))
    wait_until(lambda: (live.document("broken.pdf") or failed).modified.startswith("2001"), "the touch to be seen")
    assert live.wait_for("broken.pdf").reason == failed.reason
    assert counted.parsed == 1
    live.client.retry(failed.id)
    wait_until(lambda: counted.parsed == 2, "the retry to parse it")
    assert live.wait_for("broken.pdf").reason == failed.reason


def test_a_library_whose_disk_is_not_mounted_deletes_nothing() -> None:
    with short_home() as home:
        with live_service(Path(home)) as live:
            live.drop("policy.pdf", POLICY)
        (Path(home) / "library").rename(Path(home) / "unmounted")
        elsewhere = tempfile.mkdtemp(dir="/dev/shm")
        try:
            (Path(home) / "library").symlink_to(elsewhere)
            with live_service(Path(home)) as live:
                assert live.wait_for("policy.pdf").state == "indexed"
        finally:
            shutil.rmtree(elsewhere)


def test_a_stray_file_in_the_mount_point_deletes_nothing_until_it_is_accepted_as_the_library() -> None:
    with short_home() as home, tempfile.TemporaryDirectory(dir="/dev/shm") as shm:
        mounts = Mounts(Path(home), Path(shm) / "place")
        with live_service(Path(home)) as live:
            before = live.drop("policy.pdf", POLICY)
        mounts.mount(mounts.other)
        (mounts.other / "stray.pdf").write_bytes(MANUAL)
        with live_service(Path(home)) as live:
            assert live.client.status().library_away
            time.sleep(1)  # longer than a file takes to settle
            assert live.document("policy.pdf") == before
            assert live.document("stray.pdf") is None
            assert live.client.accept_library().missing == 1
            live.wait_for("stray.pdf", "indexed")
            wait_until(lambda: live.document("policy.pdf") is None, "the old document to be forgotten")
            assert not live.client.status().library_away


def test_a_library_whose_disk_comes_back_under_another_number_is_followed() -> None:
    with short_home() as home, tempfile.TemporaryDirectory(dir="/dev/shm") as shm:
        mounts = Mounts(Path(home), Path(shm) / "empty")
        with live_service(Path(home)) as live:
            before = live.drop("policy.pdf", POLICY)
            mounts.mount(mounts.other)
            wait_until(lambda: live.client.status().library_away, "the library to be away")
            assert live.document("policy.pdf") == before
            again = Path(shm) / "again"
            shutil.copytree(mounts.first, again)
            (again / "manual.pdf").write_bytes(MANUAL)
            mounts.mount(again)
            live.wait_for("manual.pdf", "indexed")
            assert live.wait_for("policy.pdf", "indexed").id == before.id
            assert not live.client.status().library_away
            (again / "policy.pdf").rename(again / "rules.pdf")  # found by its event
            assert wait_until(lambda: live.document("rules.pdf"), "the new name").id == before.id


def test_a_disk_that_is_mounted_after_the_start_is_followed_though_most_was_deleted_there() -> None:
    with short_home() as home, tempfile.TemporaryDirectory(dir="/dev/shm") as shm:
        mounts = Mounts(Path(home), Path(shm) / "place")
        with live_service(Path(home)) as live:
            kept = live.drop("a.txt", b"The pump lifts four litres a minute.")
            for name in ("b.txt", "c.txt"):
                live.drop(name, name.encode())
        mounts.mount(mounts.other)
        (mounts.other / "stray.txt").write_text("somebody put this here")
        with live_service(Path(home)) as live:
            assert live.client.status().library_away
            for name in ("b.txt", "c.txt"):
                (mounts.first / name).unlink()
            mounts.mount(mounts.first)
            wait_until(lambda: list(live.client.documents()) == [kept], "the deletions to be followed")
            assert found_in(live) <= {"a.txt"}
            assert not live.client.status().library_away


def test_an_unexpected_failure_costs_one_document(live: Live) -> None:
    workers = live.context.intake.workers
    real = workers.open_document

    @contextmanager
    def open_document(path: bytes, stop: Event) -> Iterator[DocumentReading]:
        with real(path, stop) as reading:
            if path == b"odd.pdf":
                reading.read_into = lambda sink: 1 / 0  # type: ignore[assignment,method-assign,return-value]
            yield reading

    workers.open_document = open_document
    (live.library / "odd.pdf").write_bytes(POLICY)
    waits = wait_until(lambda: (d := live.document("odd.pdf")) and d.reason and d, "the failure to be told")
    assert (waits.state, waits.attempts) == ("pending", 1)
    assert waits.next_attempt
    assert "retry" in (waits.hint or "")
    assert live.drop("good.pdf", MANUAL).state == "indexed"


def test_a_file_that_is_renamed_just_before_it_is_opened_is_still_read(live: Live) -> None:
    workers = live.context.intake.workers
    real = workers.open_document

    def open_document(path: bytes, stop: Event) -> AbstractContextManager[DocumentReading]:
        if path == b"old.pdf":
            (live.library / "old.pdf").rename(live.library / "new.pdf")
        return real(path, stop)

    workers.open_document = open_document
    (live.library / "old.pdf").write_bytes(POLICY)
    assert live.wait_for("new.pdf", "indexed")
    assert live.document("old.pdf") is None


def test_a_folder_in_the_place_of_a_document_ends_the_document() -> None:
    settings = FAST.model_copy(update={"library": FAST.library.model_copy(update={"rescan_seconds": 1.0})})
    with short_home() as home, live_service(Path(home), settings) as live:
        live.drop("plain", POLICY)
        (live.library / "plain").unlink()
        (live.library / "plain").mkdir()
        wait_until(lambda: live.document("plain") is None, "the document to go")
        assert found_in(live) == set()


def test_a_file_that_could_not_be_opened_is_retried_at_the_next_start() -> None:
    with short_home() as home:
        with live_service(Path(home)) as live:
            failed = live.drop("policy.pdf", POLICY)
            why = Trouble("unreadable", "input/output error", "check the disk")
            live.context.store.queue.postpone(failed.id, why, attempts=4, next_attempt=time.time() + 3600)
            assert live.wait_for("policy.pdf").state == "failed"
        with live_service(Path(home)) as live:
            assert live.wait_for("policy.pdf", "indexed").id == failed.id
