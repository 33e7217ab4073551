"""A library that is away is told from one that is empty, and one that is back from what stands in its place."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from appliance.errors import NotReady
from appliance.library import Library
from appliance.presence import Presence
from tests.mounts import Mounts

DOCUMENTS = [b"a.pdf", b"b.pdf", b"c.pdf"]


@pytest.fixture
def mounts(tmp_path: Path) -> Iterator[Mounts]:
    with tempfile.TemporaryDirectory(dir="/dev/shm") as other:
        made = Mounts(tmp_path, Path(other))
        fill(made.first, *DOCUMENTS)
        yield made


@pytest.fixture
def presence(mounts: Mounts) -> Presence:
    return Presence(Library(mounts.library), lambda: DOCUMENTS)


def fill(folder: Path, *names: bytes) -> None:
    for name in names:
        (folder / name.decode()).write_text("text")


def test_an_emptied_folder_on_the_same_disk_is_there(mounts: Mounts, presence: Presence) -> None:
    for name in DOCUMENTS:
        (mounts.first / name.decode()).unlink()
    assert presence.there()


def test_an_empty_place_on_another_disk_is_not_the_library(mounts: Mounts, presence: Presence) -> None:
    assert presence.there()
    mounts.mount(mounts.other)
    (mounts.other / "lost+found").mkdir()
    assert not presence.there()
    assert not presence.last
    mounts.mount(mounts.first)
    assert presence.there()


def test_a_file_put_into_the_empty_place_does_not_make_it_the_library(mounts: Mounts, presence: Presence) -> None:
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


def test_without_any_document_whatever_holds_files_is_the_library(mounts: Mounts) -> None:
    presence = Presence(Library(mounts.library), list)
    mounts.mount(mounts.other)
    assert not presence.there()
    fill(mounts.other, b"new.pdf")
    assert presence.there()


def test_while_the_documents_cannot_be_asked_for_another_disk_is_not_the_library(mounts: Mounts) -> None:
    def closed() -> list[bytes]:
        raise NotReady("using the store", "it is closed", "")

    presence = Presence(Library(mounts.library), closed)
    mounts.mount(mounts.other)
    fill(mounts.other, *DOCUMENTS)
    assert not presence.there()


def test_what_is_found_on_another_disk_at_the_start_is_not_the_library_whatever_is_put_there(mounts: Mounts) -> None:
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


def test_at_the_start_the_disk_of_before_is_the_library_whatever_was_deleted_there(mounts: Mounts) -> None:
    before = dict.fromkeys(DOCUMENTS, mounts.first.stat().st_dev)
    for name in DOCUMENTS:
        (mounts.first / name.decode()).unlink()
    presence = Presence(Library(mounts.library), lambda: DOCUMENTS)
    assert presence.begin(before)
    assert presence.there()


def test_a_copy_on_another_disk_is_the_library_at_the_start(mounts: Mounts) -> None:
    fill(mounts.other, *DOCUMENTS[1:])
    mounts.mount(mounts.other)
    presence = Presence(Library(mounts.library), lambda: DOCUMENTS)
    assert presence.begin(dict.fromkeys(DOCUMENTS, mounts.first.stat().st_dev))
    assert presence.there()


def test_what_is_accepted_is_the_library_whatever_it_holds(mounts: Mounts, presence: Presence) -> None:
    mounts.mount(mounts.other)
    assert not presence.there()
    assert presence.accept()
    assert presence.there()
    mounts.mount(mounts.library.parent / "no" / "such" / "place")
    assert not presence.accept()


def test_without_any_document_whatever_is_there_at_the_start_is_the_library(mounts: Mounts) -> None:
    mounts.mount(mounts.other)
    presence = Presence(Library(mounts.library), list)
    assert presence.begin({})
    assert presence.there()
