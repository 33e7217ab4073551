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


def test_what_was_found_empty_at_the_start_is_the_library_once_a_file_or_a_disk_is_there(mounts: Mounts) -> None:
    for put in (lambda: fill(mounts.other, b"new.pdf"), lambda: mounts.mount(mounts.first)):
        mounts.mount(mounts.other)
        presence = Presence(Library(mounts.library), lambda: DOCUMENTS)
        presence.is_not()
        (mounts.other / ".hidden").touch()
        assert not presence.there()
        put()
        assert presence.there()
        (mounts.other / "new.pdf").unlink(missing_ok=True)
