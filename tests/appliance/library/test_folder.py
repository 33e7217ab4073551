"""Files are added to and removed from the library folder safely."""

import contextlib
import errno
import os
from pathlib import Path

import pytest

from appliance.errors import Conflict, DocumentExists, InvalidRequest, StoreFull, UnknownDocument
from appliance.library.folder import Library


@pytest.fixture
def library(tmp_path: Path) -> Library:
    return Library(tmp_path)


def upload(library: Library, content: bytes = b"new") -> bytes:
    path = os.path.join(library.root, b".docent-upload-x")
    Path(os.fsdecode(path)).write_bytes(content)
    return path


@pytest.mark.parametrize(
    "name", [b"", b".", b"..", b"a/b.pdf", b"/etc/passwd", b".hidden.pdf", b"x" * 256, b"a\0b", b"x.part"]
)
def test_a_name_that_would_leave_or_be_ignored_by_the_library_is_refused(library: Library, name: bytes) -> None:
    with pytest.raises(InvalidRequest):
        library.target(b"", name)


@pytest.mark.parametrize("name", [b"plain.pdf", b'quotes".pdf', b"line\nfeed.pdf", b"bad\xff.pdf", b"100%22.pdf"])
def test_any_other_name_is_kept_byte_for_byte(library: Library, name: bytes) -> None:
    library.publish(upload(library), library.target(b"", name), replace=False)
    assert os.listdir(library.root) == [name]


def test_a_taken_name_is_refused_and_its_file_is_untouched(library: Library) -> None:
    library.publish(upload(library, b"old"), b"a.pdf", replace=False)
    with pytest.raises(DocumentExists) as caught:
        library.publish(upload(library), b"a.pdf", replace=False)
    assert caught.value.hint.startswith("use `--replace` (or the field `replace`) to overwrite it")
    assert Path(os.fsdecode(library.absolute(b"a.pdf"))).read_bytes() == b"old"


def test_replacing_swaps_the_content_at_once(library: Library) -> None:
    library.publish(upload(library, b"old"), b"a.pdf", replace=False)
    assert library.publish(upload(library), b"a.pdf", replace=True)
    assert Path(os.fsdecode(library.absolute(b"a.pdf"))).read_bytes() == b"new"


def test_a_new_collection_is_as_open_as_the_library(library: Library, tmp_path: Path) -> None:
    tmp_path.chmod(0o2770)
    library.publish(upload(library), b"contracts/a.pdf", replace=False)
    assert (tmp_path / "contracts").stat().st_mode & 0o7777 == 0o2770


def test_removing_a_deleted_file_says_so(library: Library) -> None:
    with pytest.raises(UnknownDocument, match="already been deleted"):
        library.delete(b"a.pdf")


def test_temporary_files_of_a_crashed_upload_are_removed(library: Library) -> None:
    upload(library)
    library.clean(b".docent-upload-")
    assert os.listdir(library.root) == []


@pytest.mark.parametrize("replace", [False, True])
def test_nothing_is_written_through_a_link_in_a_collections_place(tmp_path: Path, replace: bool) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (tmp_path / "library").mkdir()
    (tmp_path / "library" / "link").symlink_to(elsewhere)
    library = Library(tmp_path / "library")
    with pytest.raises(Conflict, match="link"):
        library.publish(upload(library), b"link/a.pdf", replace=replace)
    assert list(elsewhere.iterdir()) == []


def test_nothing_is_deleted_through_a_link_that_replaced_a_folder(tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "a.pdf").write_bytes(b"precious")
    (tmp_path / "library" / "deep").mkdir(parents=True)
    (tmp_path / "library" / "deep" / "link").symlink_to(elsewhere)
    with pytest.raises(Conflict, match="link"):
        Library(tmp_path / "library").delete(b"deep/link/a.pdf")
    assert (elsewhere / "a.pdf").exists()


def test_a_collection_named_like_a_file_is_refused_as_a_conflict(library: Library) -> None:
    library.publish(upload(library), b"a.pdf", replace=False)
    with pytest.raises(Conflict, match="not a folder"):
        library.publish(upload(library), b"a.pdf/b.pdf", replace=False)


def test_a_folder_that_counts_as_a_document_is_not_deleted(library: Library) -> None:
    os.mkdir(library.absolute(b"folder.pdf"))
    with pytest.raises(Conflict, match="folder"):
        library.delete(b"folder.pdf")


def test_no_descriptor_is_left_open(library: Library) -> None:
    for name in (b"c/a.pdf", b"c/b.pdf"):
        library.publish(upload(library), name, replace=False)
        library.delete(name)
    with pytest.raises(UnknownDocument):
        library.delete(b"gone/a.pdf")
    for descriptor in os.listdir("/proc/self/fd"):
        with contextlib.suppress(FileNotFoundError):  # other threads open and close theirs
            assert not os.readlink(f"/proc/self/fd/{descriptor}").startswith(os.fsdecode(library.root))


def without_links(root: Path, refusal: int) -> Library:
    """A library on a file system without hard links, such as exFAT."""

    def link(*_: object, **__: object) -> None:
        raise OSError(refusal, os.strerror(refusal))

    return Library(root, link)


@pytest.mark.parametrize("refusal", [errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK])
def test_a_file_is_added_where_there_are_no_hard_links(tmp_path: Path, refusal: int) -> None:
    library = without_links(tmp_path, refusal)
    assert not library.publish(upload(library, b"old"), b"law/a.pdf", replace=False)
    assert (tmp_path / "law" / "a.pdf").read_bytes() == b"old"
    with pytest.raises(DocumentExists):
        library.publish(upload(library), b"law/a.pdf", replace=False)
    assert (tmp_path / "law" / "a.pdf").read_bytes() == b"old"
    assert library.publish(upload(library), b"law/a.pdf", replace=True)


def test_a_failed_rename_leaves_no_empty_file_behind(tmp_path: Path) -> None:
    def vanishes(temporary: bytes, *_: object, **__: object) -> None:
        os.unlink(temporary)
        raise OSError(errno.EPERM, os.strerror(errno.EPERM))

    library = Library(tmp_path, vanishes)
    with pytest.raises(StoreFull):
        library.publish(upload(library), b"a.pdf", replace=False)
    library = without_links(tmp_path, errno.ENOSPC)
    with pytest.raises(StoreFull, match="No space"):
        library.publish(upload(library), b"b.pdf", replace=False)
    assert sorted(tmp_path.glob("*.pdf")) == []
