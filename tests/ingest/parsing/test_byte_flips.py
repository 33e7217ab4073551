"""Papers with randomly changed bytes, read by the real child: the short form of `python -m benchmarks.hostile`."""

from pathlib import Path

from benchmarks.hostile import flipped


def test_a_paper_with_changed_bytes_is_read_or_refused_in_plain_words(tmp_path: Path) -> None:
    outcome = flipped(100, seed=7, threads=2, folder=tmp_path)
    assert outcome.faults == []
    assert outcome.ends.total() == 100
    assert outcome.ends["read"] < 100  # some of it did damage
