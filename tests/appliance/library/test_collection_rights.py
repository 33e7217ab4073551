"""Who may do what, by the owner, group and mode of real folders."""

import os
from pathlib import Path

import pytest

from appliance.errors import LibraryAway, NotAllowed, NotReady, UnknownCollection
from appliance.library.collection_rights import CollectionRights, Peer, is_admin, require_admin

OURS = Peer(1, os.geteuid(), frozenset({os.getegid()}))
STRANGER = Peer(2, 54_321, frozenset({54_322}))


@pytest.fixture
def rights(tmp_path: Path) -> CollectionRights:
    (tmp_path / "open").mkdir(mode=0o755)
    (tmp_path / "closed").mkdir(mode=0o700)
    (tmp_path / ".hidden").mkdir()
    tmp_path.chmod(0o755)
    return CollectionRights(tmp_path)


def in_group_of(folder: Path) -> Peer:
    return Peer(3, 54_321, frozenset({folder.stat().st_gid}))


def test_the_service_itself_is_an_administrator_and_a_stranger_is_not() -> None:
    assert is_admin(OURS)
    assert not is_admin(STRANGER)
    with pytest.raises(NotAllowed, match="administrator"):
        require_admin(STRANGER, "loading a model")


def test_an_administrator_sees_all_collections(rights: CollectionRights) -> None:
    assert rights.readable(OURS) is None


def test_a_stranger_sees_only_folders_that_are_open_to_all(rights: CollectionRights) -> None:
    assert rights.readable(STRANGER) == {b"", b"open"}


def test_a_chmod_takes_effect_with_the_next_request(rights: CollectionRights, tmp_path: Path) -> None:
    (tmp_path / "closed").chmod(0o755)
    assert rights.readable(STRANGER) == {b"", b"open", b"closed"}


def test_a_hidden_folder_and_a_missing_one_look_the_same(rights: CollectionRights) -> None:
    messages = []
    for name in ("closed", "absent"):
        with pytest.raises(UnknownCollection) as caught:
            rights.chosen(STRANGER, name)
        messages.append(str(caught.value).replace(name, "X"))
    assert messages[0] == messages[1]


def test_writing_needs_the_folders_w_for_the_callers_group(rights: CollectionRights, tmp_path: Path) -> None:
    folder = tmp_path / "open"
    member = in_group_of(folder)
    with pytest.raises(NotAllowed):
        rights.require_write(member, b"open")
    folder.chmod(0o770)
    rights.require_write(member, b"open")


def test_a_new_collection_needs_the_right_to_write_to_the_library(rights: CollectionRights, tmp_path: Path) -> None:
    member = in_group_of(tmp_path)
    with pytest.raises(NotAllowed):
        rights.require_write(member, b"brand-new")
    tmp_path.chmod(0o770)
    rights.require_write(member, b"brand-new")


@pytest.mark.parametrize("name", ["\ud800", "a\0b", "..", ".hidden"])
def test_a_name_that_no_collection_can_have_is_an_unknown_collection(rights: CollectionRights, name: str) -> None:
    for peer in (OURS, STRANGER):
        with pytest.raises(UnknownCollection):
            rights.chosen(peer, name)


def test_a_missing_library_raises_an_error_with_a_hint(tmp_path: Path) -> None:
    with pytest.raises(NotReady, match="library") as caught:
        CollectionRights(tmp_path / "gone").readable(STRANGER)
    assert "mount" in caught.value.hint


def test_a_collection_is_chosen_by_its_display_name(rights: CollectionRights, tmp_path: Path) -> None:
    os.mkdir(os.fsencode(tmp_path) + b"/bad\xff")
    assert rights.chosen(OURS, "bad\\xff") == {b"bad\xff"}


def unmount(library: Path) -> None:
    """Leave the empty mount point of the library's disk, open to all."""
    library.rename(library.with_name("unmounted"))
    library.mkdir(mode=0o755)


def test_while_the_library_is_not_available_the_rights_last_seen_apply(tmp_path: Path) -> None:
    library = tmp_path / "library"
    for name, mode in (("library", 0o700), ("library/open", 0o777), ("library/closed", 0o700)):
        (tmp_path / name).mkdir()
        (tmp_path / name).chmod(mode)
    there = True
    rights = CollectionRights(library, lambda: there)
    rights.look()
    there = False
    unmount(library)
    assert rights.readable(STRANGER) == {b"open"}
    assert rights.chosen(OURS, "closed") == {b"closed"}
    rights.require_write(STRANGER, b"open")
    with pytest.raises(NotAllowed):
        rights.require_write(STRANGER, b"")


def test_an_empty_mount_point_gives_no_rights_when_none_were_seen_before(tmp_path: Path) -> None:
    rights = CollectionRights(tmp_path, lambda: False)
    tmp_path.chmod(0o777)
    with pytest.raises(LibraryAway) as caught:
        rights.chosen(STRANGER, None)
    assert "mount" in caught.value.hint
    with pytest.raises(LibraryAway):
        rights.require_some_write(STRANGER)
    assert rights.chosen(OURS, None) is None


def test_rights_read_while_the_disk_is_unmounted_are_not_kept(tmp_path: Path) -> None:
    tmp_path.chmod(0o700)
    looks = iter([True, True, True, False])
    rights = CollectionRights(tmp_path, lambda: next(looks))
    assert rights.readable(STRANGER) == frozenset()
    tmp_path.chmod(0o777)  # the empty mount point, as seen by the third check
    assert rights.readable(STRANGER) == frozenset()
