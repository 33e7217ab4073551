"""An unmounted library is told apart from an empty one, and a remounted one from another folder in its place."""

import os
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from appliance.errors import NotReady
from appliance.library.folder import Library, Place
from appliance.library.presence import REFUSED_SECONDS, Presence
from ingest.types import FileIdentity
from tests.appliance.store.filling import identity
from tests.mounts import Mounts

DOCUMENTS = dict.fromkeys((b"a.pdf", b"b.pdf", b"c.pdf"), identity())
DISK, OTHER_DISK = os.makedev(8, 1), os.makedev(8, 17)


class Numbered(Library):
    """A library whose device number the test sets, and which counts how often its folder is searched."""

    def __init__(self, root: Path, number: int) -> None:
        super().__init__(root)
        self.number = number
        self.asked: list[bytes] = []

    def place(self) -> Place:
        return replace(super().place(), device=self.number)

    def absolute(self, path: bytes) -> bytes:
        self.asked.append(path)
        return super().absolute(path)


class Clock:
    """Stands still until it is set."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def mounts(tmp_path: Path) -> Iterator[Mounts]:
    with tempfile.TemporaryDirectory(dir="/dev/shm") as other:
        made = Mounts(tmp_path, Path(other))
        fill(made.first, *DOCUMENTS)
        yield made


@pytest.fixture
def presence(mounts: Mounts, clock: Clock) -> Presence:
    return Presence(Library(mounts.library), lambda: DOCUMENTS, clock)


def fill(folder: Path, *names: bytes) -> None:
    for name in names:
        (folder / name.decode()).write_text("text")


def test_an_emptied_folder_on_the_same_disk_is_there(mounts: Mounts, presence: Presence) -> None:
    for name in DOCUMENTS:
        (mounts.first / name.decode()).unlink()
    assert presence.there()


def test_an_empty_mount_point_on_another_disk_is_not_the_library(mounts: Mounts, presence: Presence) -> None:
    assert presence.there()
    mounts.mount(mounts.other)
    (mounts.other / "lost+found").mkdir()
    assert not presence.there()
    assert not presence.last
    mounts.mount(mounts.first)
    assert presence.there()


def test_a_file_put_into_the_empty_mount_point_does_not_make_it_the_library(mounts: Mounts, presence: Presence) -> None:
    mounts.mount(mounts.other)
    fill(mounts.other, b"new.pdf", b"a.pdf")
    assert not presence.there()


def test_another_disk_with_most_of_the_documents_is_the_library(mounts: Mounts, presence: Presence) -> None:
    mounts.mount(mounts.other)
    fill(mounts.other, b"a.pdf", b"c.pdf", b"new.pdf")
    assert presence.there()
    assert presence.last
    (mounts.other / "a.pdf").unlink()
    (mounts.other / "c.pdf").unlink()
    assert presence.there()  # it is the library's disk from now on
    mounts.mount(mounts.library.parent / "no" / "such" / "place")
    assert not presence.there()


def test_without_documents_any_folder_that_holds_files_is_the_library(mounts: Mounts, clock: Clock) -> None:
    presence = Presence(Library(mounts.library), dict, clock)
    mounts.mount(mounts.other)
    assert not presence.there()
    fill(mounts.other, b"new.pdf")
    clock.now += REFUSED_SECONDS
    assert presence.there()


def test_while_the_store_fails_another_disk_is_not_the_library(mounts: Mounts) -> None:
    def closed() -> dict[bytes, FileIdentity]:
        raise NotReady("using the store", "it is closed", "")

    presence = Presence(Library(mounts.library), closed)
    mounts.mount(mounts.other)
    fill(mounts.other, *DOCUMENTS)
    assert not presence.there()


def test_another_disk_at_the_start_is_not_the_library_whatever_is_put_there(mounts: Mounts) -> None:
    before = dict.fromkeys(DOCUMENTS, mounts.first.stat().st_dev)
    mounts.mount(mounts.other)
    for stray in ((), (b"new.pdf", b"a.pdf")):
        fill(mounts.other, *stray)
        presence = Presence(Library(mounts.library), lambda: DOCUMENTS)
        assert not presence.begin(before)
        assert not presence.there()
        fill(mounts.other, b"another.pdf")
        assert not presence.there()
    mounts.mount(mounts.first)
    assert presence.there()


def test_the_same_disk_at_the_start_is_the_library_whatever_was_deleted_there(tmp_path: Path) -> None:
    presence = Presence(Numbered(tmp_path, DISK), lambda: DOCUMENTS)
    assert presence.begin(dict.fromkeys(DOCUMENTS, DISK))
    assert presence.there()


def test_the_same_disk_mounted_after_the_start_is_the_library_at_once(tmp_path: Path) -> None:
    library = Numbered(tmp_path, OTHER_DISK)
    presence = Presence(library, lambda: DOCUMENTS)
    assert not presence.begin({b"a.pdf": DISK, b"b.pdf": DISK, b"c.pdf": OTHER_DISK})
    assert not presence.there()
    library.number = DISK
    assert presence.there()


def test_each_return_of_the_library_is_counted_once(tmp_path: Path) -> None:
    library = Numbered(tmp_path, DISK)
    presence = Presence(library, lambda: DOCUMENTS)
    presence.begin(dict.fromkeys(DOCUMENTS, DISK))
    for number, returns in ((DISK, 0), (OTHER_DISK, 0), (DISK, 1), (DISK, 1), (OTHER_DISK, 1), (DISK, 2)):
        library.number = number
        presence.there()
        assert presence.returns == returns


def test_a_library_without_documents_comes_back_empty(tmp_path: Path) -> None:
    library = Numbered(tmp_path, DISK)
    presence = Presence(library, dict)
    presence.begin({})
    for number, there in ((OTHER_DISK, False), (DISK, True)):
        library.number = number
        assert presence.there() == there


def test_another_folder_is_searched_again_only_after_a_while_or_a_change(tmp_path: Path, clock: Clock) -> None:
    library = Numbered(tmp_path, OTHER_DISK)
    fill(tmp_path, b"a.pdf")
    presence = Presence(library, lambda: DOCUMENTS, clock)
    presence.begin(dict.fromkeys(DOCUMENTS, DISK))
    library.asked.clear()
    for _ in range(10):
        clock.now += REFUSED_SECONDS / 10 - 0.01
        assert not presence.there()
    assert library.asked == []
    clock.now += 1
    assert not presence.there()
    assert len(library.asked) == 3
    os.utime(tmp_path, ns=(1, 1))
    assert not presence.there()
    assert len(library.asked) == 6


@pytest.mark.parametrize(("stand", "looked_at"), [(0, 51), (100, 50)])
def test_documents_are_checked_only_until_it_is_certain_whether_half_exist(
    tmp_path: Path, stand: int, looked_at: int
) -> None:
    names = [b"%03d.pdf" % number for number in range(100)]
    fill(tmp_path, *names[:stand])
    library = Numbered(tmp_path, OTHER_DISK)
    presence = Presence(library, lambda: dict.fromkeys(names, identity()))
    assert presence.begin(dict.fromkeys(names, DISK)) == (stand == 100)
    assert len(library.asked) == looked_at


def test_a_copy_on_another_disk_is_the_library_at_the_start(mounts: Mounts) -> None:
    fill(mounts.other, b"b.pdf", b"c.pdf")
    mounts.mount(mounts.other)
    presence = Presence(Library(mounts.library), lambda: DOCUMENTS)
    assert presence.begin(dict.fromkeys(DOCUMENTS, mounts.first.stat().st_dev))
    assert presence.there()


def test_an_accepted_folder_is_the_library_whatever_it_holds(mounts: Mounts, presence: Presence) -> None:
    mounts.mount(mounts.other)
    assert not presence.there()
    assert presence.accept()
    assert presence.there()
    mounts.mount(mounts.library.parent / "no" / "such" / "place")
    assert not presence.accept()


def test_without_documents_any_folder_at_the_start_is_the_library(mounts: Mounts) -> None:
    mounts.mount(mounts.other)
    presence = Presence(Library(mounts.library), dict)
    assert presence.begin({})
    assert presence.there()
