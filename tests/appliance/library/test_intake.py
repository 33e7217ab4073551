"""No reported change is lost while the store cannot be written or a file's status cannot be read."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from appliance.library import workers
from appliance.library.backoff import ENDINGS_ALLOWED
from appliance.library.intake import LOOK_AGAIN_SECONDS
from appliance.store import Store
from appliance.store.database.connection import run
from ingest.types import identity_of
from ingest.watching.stability import Changes, EntryKind, Settled
from tests.appliance.library.intake_driver import Driver, driving
from tests.appliance.store.filling import key
from tests.live import wait_until
from tests.mounts import Mounts

LINES = [f"pump {number} lifts {number} litres" for number in range(5)]


@pytest.fixture
def driver(tmp_path: Path, store: Store) -> Iterator[Driver]:
    """Not started yet."""
    made = Driver(tmp_path, store)
    yield made
    made.intake.stop()


def refuse(store: Store) -> None:
    """Refuse every change of a document, as on a full disk."""
    for change in ("INSERT", "UPDATE", "DELETE"):
        trigger = f"CREATE TRIGGER full_{change} BEFORE {change} ON documents BEGIN SELECT RAISE(ABORT, 'full'); END"
        store._database.write(lambda connection, trigger=trigger: run(connection, trigger))  # type: ignore[misc]


def take_again(store: Store) -> None:
    for change in ("INSERT", "UPDATE", "DELETE"):
        store._database.write(lambda connection, change=change: run(connection, f"DROP TRIGGER full_{change}"))  # type: ignore[misc]


def test_a_start_on_a_full_disk_succeeds_and_changes_are_recorded_once_there_is_room(
    driver: Driver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(workers, "_STORE_SECONDS", (0.02, 0.02))
    for name in ("gone", "old", "changed"):
        driver.write(f"{name}.pdf", name, *LINES)
    moved = driver.row("old.pdf").id
    (driver.root / "gone.pdf").unlink()
    (driver.root / "old.pdf").rename(driver.root / "new.pdf")
    (driver.root / "changed.pdf").write_text("other")
    refuse(driver.store)
    driver.intake.start()
    assert sorted(driver.listing()) == ["changed.pdf", "gone.pdf", "old.pdf"]
    take_again(driver.store)
    driver.wait_for("new.pdf", "indexed")
    driver.wait_for("changed.pdf", "indexed")
    assert sorted(driver.listing()) == ["changed.pdf", "new.pdf"]
    assert driver.row("new.pdf").id == moved
    assert driver.reader.embedded["other"] == 1


def test_a_document_that_ends_the_service_is_postponed_even_after_a_start_on_a_full_disk(
    driver: Driver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(workers, "_STORE_SECONDS", (0.02, 0.02))
    driver.write("bad.pdf", *LINES)
    for _ in range(ENDINGS_ALLOWED + 1):
        driver.store.queue.open_revision(driver.row("bad.pdf").id, key("bad"))
    refuse(driver.store)
    driver.intake.start()
    take_again(driver.store)
    wait_until(lambda: driver.row("bad.pdf").next_attempt, "the document to wait")
    assert driver.reader.begun[b"bad.pdf"] == 0


def test_a_postponed_document_is_retried_at_once_even_after_a_start_on_a_full_disk(
    driver: Driver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(workers, "_STORE_SECONDS", (0.02, 0.02))
    driver.write("a.pdf", *LINES)
    why = workers.Trouble("unreadable", "input/output error", "check the disk")
    driver.store.queue.postpone(driver.row("a.pdf").id, why, attempts=4, next_attempt=driver.now + 3600)
    refuse(driver.store)
    driver.intake.start()
    take_again(driver.store)
    driver.wait_for("a.pdf", "indexed")


def blind(driver: Driver) -> None:
    """Make the status of everything in the folder `sub` unreadable: its name is a link to itself."""
    (driver.root / "sub").rename(driver.root.with_name("kept"))
    (driver.root / "sub").symlink_to("sub")


def let_see(driver: Driver) -> None:
    (driver.root / "sub").unlink()
    driver.root.with_name("kept").rename(driver.root / "sub")


def test_a_file_whose_status_could_not_be_read_is_checked_again(driver: Driver) -> None:
    (driver.root / "sub").mkdir()
    (driver.root / "sub" / "a.pdf").write_text("text")
    blind(driver)
    driver.intake.start()
    seen = identity_of((driver.root.with_name("kept") / "a.pdf").stat())
    driver.intake.changed(Changes(settled=[Settled(b"sub/a.pdf", seen, EntryKind.FILE)]))
    assert driver.listing() == {}
    let_see(driver)
    driver.turn(LOOK_AGAIN_SECONDS)
    driver.wait_for("sub/a.pdf", "indexed")


def test_a_document_whose_status_cannot_be_read_stays_until_it_is_known_to_be_deleted(driver: Driver) -> None:
    driver.intake.start()
    driver.write("sub/a.pdf", "text")
    driver.wait_for("sub/a.pdf", "indexed")
    blind(driver)
    driver.intake.changed(Changes(deleted=[b"sub/a.pdf"]))
    assert driver.listing() == {"sub/a.pdf": "indexed"}
    let_see(driver)
    (driver.root / "sub" / "a.pdf").unlink()
    driver.turn(LOOK_AGAIN_SECONDS)
    wait_until(lambda: driver.listing() == {}, "the document to go")


def test_changes_reported_while_the_librarys_disk_is_unmounted_are_followed_when_it_is_back(driver: Driver) -> None:
    (driver.root / "a.pdf").write_text("text")
    seen = identity_of((driver.root / "a.pdf").stat())
    driver.intake.start()
    driver.root.rename(driver.root.with_name("away"))
    driver.intake.changed(Changes(settled=[Settled(b"a.pdf", seen, EntryKind.FILE)]))
    driver.root.with_name("away").rename(driver.root)
    driver.turn(LOOK_AGAIN_SECONDS)
    driver.wait_for("a.pdf", "indexed")


@pytest.fixture
def mounts(tmp_path: Path) -> Iterator[Mounts]:
    with tempfile.TemporaryDirectory(dir="/dev/shm") as other:
        yield Mounts(tmp_path, Path(other))


@pytest.mark.parametrize("kept", [1, 5])
def test_deletions_on_a_disk_that_is_mounted_after_the_start_are_followed(
    mounts: Mounts, tmp_path: Path, store: Store, kept: int
) -> None:
    names = [f"{number}.pdf" for number in range(6)]
    with driving(tmp_path, store) as before:
        for name in names:
            before.write(name, name, *LINES)
        before.idle()
        renamed = before.row("0.pdf").id
    (mounts.other / "0.pdf").write_text("something else")
    mounts.mount(mounts.other)
    with driving(tmp_path, store) as driver:
        assert not driver.intake.there()
        for name in names[kept:]:
            (mounts.first / name).unlink()
        (mounts.first / "0.pdf").rename(mounts.first / "new.pdf")
        mounts.mount(mounts.first)
        driver.turn(0)
        expected = dict.fromkeys(["new.pdf", *names[1:kept]], "indexed")
        wait_until(lambda: driver.listing() == expected, "what changed to be followed")
        assert driver.row("new.pdf").id == renamed
        assert driver.intake.there()


def test_deletions_on_a_disk_that_was_unmounted_for_a_while_are_followed(
    mounts: Mounts, tmp_path: Path, store: Store
) -> None:
    with driving(tmp_path, store) as driver:
        for name in ("a.pdf", "b.pdf"):
            driver.write(name, name, *LINES)
            driver.wait_for(name, "indexed")
        mounts.mount(mounts.other)
        assert not driver.intake.there()
        (mounts.first / "b.pdf").unlink()
        mounts.mount(mounts.first)
        assert driver.intake.there()  # the first call makes the workers check all of it
        wait_until(lambda: driver.listing() == {"a.pdf": "indexed"}, "the deletion to be followed")
