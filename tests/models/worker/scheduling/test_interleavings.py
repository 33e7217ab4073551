"""Requests that run together answer as each does alone: a short form of `python -m benchmarks.interleavings`."""

from pathlib import Path

import pytest

from benchmarks.interleavings import SETTINGS, check, write_files


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_files(tmp_path_factory.mktemp("interleavings"))


def test_adapters_shared_prefixes_and_drafts_change_no_token(folder: Path) -> None:
    tally = check(folder, 3)
    assert tally.wrong == [], f"{tally.ties} more were ties"
    assert tally.ties <= 1
    assert tally.mean_running >= 3
    assert tally.cached > tally.prompts / 10
    assert tally.saved > SETTINGS.cache_bytes / 2
    assert tally.drafted > tally.accepted > 0


def test_without_the_adapters_in_the_cache_key_answers_are_wrong(folder: Path) -> None:
    assert len(check(folder, 1, key=lambda _: ()).wrong) >= 3
