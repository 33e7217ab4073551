"""A member may write to the library's folder; what they put in the place of the service's files changes nothing elsewhere."""

import os
import stat
from pathlib import Path

import pytest

from appliance.errors import Conflict
from appliance.library.folder import Library, set_folder_mode


@pytest.fixture
def secret(tmp_path: Path) -> Path:
    """A file that only its owner may read, such as the index."""
    path = tmp_path / "docent.db"
    path.write_text("secret")
    path.chmod(0o600)
    return path


@pytest.fixture
def library(tmp_path: Path) -> Library:
    (tmp_path / "library").mkdir()
    return Library(tmp_path / "library")


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@pytest.mark.parametrize("replace", [False, True])
def test_a_link_in_an_uploads_place_is_refused_and_its_target_stays_closed(
    library: Library, secret: Path, replace: bool
) -> None:
    temporary = library.absolute(b".docent-upload-1")
    os.symlink(secret, temporary)
    with pytest.raises(Conflict, match="replaced while it was received"):
        library.publish(temporary, b"a.pdf", replace=replace)
    assert mode(secret) == 0o600
    assert os.listdir(library.root) == [b".docent-upload-1"]


@pytest.mark.parametrize("kind", ["file", "folder"])
def test_a_link_in_a_new_collections_place_does_not_open_its_target(tmp_path: Path, secret: Path, kind: str) -> None:
    target = secret
    if kind == "folder":
        target = tmp_path / "state"
        target.mkdir(mode=0o700)
    before = mode(target)
    link = tmp_path / "collection"
    link.symlink_to(target)
    set_folder_mode(os.fsencode(link), 0o2770)
    assert mode(target) == before
