"""The library folder as files."""

import os
from pathlib import Path

import pytest

from appliance.errors import DocumentExists, InvalidRequest, UnknownDocument
from appliance.library import Library


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
    assert "replace" in caught.value.hint
    assert Path(os.fsdecode(library.absolute(b"a.pdf"))).read_bytes() == b"old"


def test_replacing_swaps_the_content_at_once(library: Library) -> None:
    library.publish(upload(library, b"old"), b"a.pdf", replace=False)
    assert library.publish(upload(library), b"a.pdf", replace=True)
    assert Path(os.fsdecode(library.absolute(b"a.pdf"))).read_bytes() == b"new"


def test_a_new_collection_is_as_open_as_the_library(library: Library, tmp_path: Path) -> None:
    tmp_path.chmod(0o2770)
    library.publish(upload(library), b"contracts/a.pdf", replace=False)
    assert (tmp_path / "contracts").stat().st_mode & 0o7777 == 0o2770


def test_removing_a_file_that_is_gone_says_so(library: Library) -> None:
    with pytest.raises(UnknownDocument, match="already gone"):
        library.delete(b"a.pdf")


def test_what_a_crash_left_of_an_upload_is_cleaned_away(library: Library) -> None:
    upload(library)
    library.clean(b".docent-upload-")
    assert os.listdir(library.root) == []
