"""Whatever happens to a file while it is queued, read or postponed, the result is that of an undisturbed reading."""

import os
import random
from collections.abc import Callable
from pathlib import Path

import pytest

from appliance.library.backoff import DELAYS
from appliance.store import Store
from ingest.types import identity_of
from ingest.watching.stability import Changes, EntryKind, Settled
from tests.appliance.library.intake_driver import Driver, driving, undisturbed
from tests.appliance.library.test_workers import disk_error
from tests.appliance.store.filling import EMBEDDER, embed

LINES = [f"valve {number} opens at {number} bar" for number in range(9)]
OTHER = [f"hatch {number} has {number} bolts" for number in range(5)]


def touch(driver: Driver) -> None:
    for second in range(5):
        os.utime(driver.root / "a.pdf", (second, second))
        driver.intake.look(b"a.pdf")


def rename(driver: Driver) -> None:
    driver.rename("a.pdf", "b.pdf")


def rename_unseen(driver: Driver) -> None:
    (driver.root / "a.pdf").rename(driver.root / "b.pdf")
    for path in (b"b.pdf", b"a.pdf"):
        driver.intake.look(path)


def rename_there_and_back(driver: Driver) -> None:
    driver.rename("a.pdf", "b.pdf")
    driver.rename("b.pdf", "a.pdf")


def delete(driver: Driver) -> None:
    driver.delete("a.pdf")


def delete_and_add_again(driver: Driver) -> None:
    driver.delete("a.pdf")
    driver.write("a.pdf", *LINES)


def replace(driver: Driver) -> None:
    driver.write("a.pdf", *OTHER)


def write_into(driver: Driver) -> None:
    with (driver.root / "a.pdf").open("r+") as file:  # the same inode
        file.truncate()
        file.write("\n".join(OTHER))
    driver.intake.look(b"a.pdf")


def replace_and_put_back(driver: Driver) -> None:
    driver.write("a.pdf", *OTHER)
    driver.write("a.pdf", *LINES)


def rename_over(driver: Driver) -> None:
    driver.write("c.pdf", *OTHER)
    driver.rename("c.pdf", "a.pdf")


def retry(driver: Driver) -> None:
    driver.intake.retry(driver.row("a.pdf").id)


def move_folder(driver: Driver) -> None:
    (driver.root / "folder").mkdir()
    driver.rename("a.pdf", "folder/a.pdf")
    driver.rename("folder", "elsewhere")


EVENTS = (
    touch, rename, rename_unseen, rename_there_and_back, delete, delete_and_add_again, replace, write_into,
    replace_and_put_back, rename_over, retry, move_folder,
)  # fmt: skip


def check_end(driver: Driver, tmp_path: Path) -> None:
    driver.reader.gates.clear()
    for _ in range(4):
        driver.turn(DELAYS[1])
        driver.idle()
    assert driver.store.check() == []
    assert driver.store.digest() == undisturbed(tmp_path, driver.root)


@pytest.fixture(params=EVENTS, ids=lambda event: event.__name__)
def event(request: pytest.FixtureRequest) -> Callable[[Driver], None]:
    chosen: Callable[[Driver], None] = request.param
    return chosen


def open_store(tmp_path: Path) -> Store:
    return Store.open(tmp_path / "docent.db", embedder=EMBEDDER, embed_name=embed)


def test_while_it_is_queued(tmp_path: Path, event: Callable[[Driver], None]) -> None:
    with open_store(tmp_path) as store:
        driver = Driver(tmp_path, store)
        driver.write("a.pdf", *LINES)
        event(driver)
        driver.intake.start()
        check_end(driver, tmp_path)
        assert max(driver.reader.begun.values(), default=1) == 1
        driver.intake.stop()


def test_while_it_is_being_read(tmp_path: Path, event: Callable[[Driver], None]) -> None:
    with open_store(tmp_path) as store, driving(tmp_path, store) as driver:
        gate = driver.reader.hold(b"a.pdf")
        driver.write("a.pdf", *LINES)
        driver.wait_until_begun("a.pdf")
        event(driver)
        gate.set()
        check_end(driver, tmp_path)


def test_while_it_waits_for_its_next_attempt(tmp_path: Path, event: Callable[[Driver], None]) -> None:
    with open_store(tmp_path) as store, driving(tmp_path, store) as driver:
        driver.reader.failures[b"a.pdf"] = [disk_error()]
        driver.write("a.pdf", *LINES)
        driver.wait_for_attempts("a.pdf", 1)
        event(driver)
        check_end(driver, tmp_path)


def test_hundreds_of_files_reported_at_once_are_each_read_once(tmp_path: Path) -> None:
    chance = random.Random(4)
    with open_store(tmp_path) as store, driving(tmp_path, store) as driver:
        gates = [driver.reader.hold(name) for name in (b"0.pdf", b"1.pdf")]
        for number in range(300):
            (driver.root / f"{number}.pdf").write_text(f"file {number}")
        settled = [_settled(driver.root, f"{number}.pdf") for number in range(300)]
        driver.intake.changed(Changes(settled=settled))
        for number in chance.sample(range(2, 300), 60):
            event = chance.choice(("touch", "rename", "delete"))
            path = driver.root / f"{number}.pdf"
            if event == "touch":
                os.utime(path, (number, number))
                driver.intake.look(os.fsencode(path.name))
            elif event == "rename":
                driver.rename(path.name, f"renamed-{path.name}")
            else:
                driver.delete(path.name)
        for gate in gates:
            gate.set()
        driver.idle()
        assert set(driver.listing()) == {path.name for path in driver.root.iterdir()}
        assert set(driver.listing().values()) == {"indexed"}
        assert set(driver.reader.embedded.values()) == {1}


def _settled(root: Path, name: str) -> Settled:
    return Settled(name.encode(), identity_of((root / name).lstat()), EntryKind.FILE)


def test_moves_reported_together_keep_their_documents_even_if_a_worker_checks_them_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = [f"{number}.pdf" for number in range(5)]
    with (
        Store.open(tmp_path / "docent.db", embedder=EMBEDDER, embed_name=embed) as store,
        driving(tmp_path, store) as driver,
    ):
        for name in names:
            driver.write(name, *LINES, name)
        driver.idle()
        before = {driver.row(name).id for name in names}
        follow = driver.intake.moved

        def late(old: bytes, new: bytes) -> None:
            driver.intake._look_at_owed()  # as a worker does between two documents
            follow(old, new)

        monkeypatch.setattr(driver.intake, "moved", late)
        for name in names:
            (driver.root / name).rename(driver.root / f"new-{name}")
        driver.intake.changed(Changes(moved=[(name.encode(), b"new-" + name.encode()) for name in names]))
        driver.idle()
        assert {driver.row(f"new-{name}").id for name in names} == before
