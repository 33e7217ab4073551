"""When a path counts as settled, moved or deleted."""

from dataclasses import replace

from ingest.types import FileIdentity
from ingest.watching.stability import MISSING_SECONDS, Changes, Entry, EntryKind, Settled, Stability

SETTLE = 2.0


def entry(inode: int = 1, size: int = 10, mtime: int = 5, ctime: int = 5) -> Entry:
    return Entry(FileIdentity(1, inode, size, mtime, ctime))


def settled_with(**paths: Entry) -> Stability:
    stability = Stability(SETTLE)
    for path, found in paths.items():
        stability.observe(path.encode(), found, 0.0)
    assert len(stability.changes(SETTLE).settled) == len(paths)
    return stability


def test_a_file_settles_only_after_the_quiet_period_even_at_the_first_scan() -> None:
    stability = Stability(SETTLE)
    stability.observe(b"a.pdf", entry(), 0.0)
    assert not stability.changes(1.9)
    assert stability.pending == 1
    assert stability.changes(2.0).settled == [Settled(b"a.pdf", entry().identity, EntryKind.FILE)]
    assert stability.pending == 0


def test_a_growing_file_does_not_settle() -> None:
    stability = Stability(SETTLE)
    for second in range(5):
        stability.observe(b"a.pdf", entry(size=second), float(second))
        assert not stability.changes(float(second))
    assert stability.changes(6.0).settled


def test_an_event_without_a_visible_change_restarts_the_quiet_period() -> None:
    stability = Stability(SETTLE)
    stability.observe(b"a.pdf", entry(), 0.0)
    stability.touched(b"a.pdf", 1.5)
    assert not stability.changes(2.5)
    assert stability.changes(3.5).settled


def test_a_settled_file_is_reported_once_until_it_changes() -> None:
    stability = settled_with(a=entry())
    stability.observe(b"a", entry(), 10.0)
    assert not stability.changes(20.0)
    stability.observe(b"a", entry(mtime=6), 21.0)
    assert stability.changes(23.0).settled


def test_a_chmod_is_a_change_so_that_an_unreadable_file_is_retried() -> None:
    stability = settled_with(a=entry())
    stability.observe(b"a", entry(ctime=9), 10.0)
    assert stability.changes(12.0).settled[0].identity.ctime_ns == 9


def test_a_file_that_reappears_under_another_name_has_moved_at_once() -> None:
    stability = settled_with(a=entry())
    stability.observe(b"a", None, 10.0)
    stability.observe(b"b", entry(ctime=9), 10.1)
    assert stability.changes(10.1) == Changes(moved=[(b"a", b"b")])
    assert not stability.changes(20.0)


def test_the_order_in_which_a_move_is_seen_does_not_matter() -> None:
    stability = settled_with(a=entry())
    stability.observe(b"b", entry(ctime=9), 10.0)
    assert not stability.changes(10.0)
    stability.observe(b"a", None, 10.2)
    assert stability.changes(10.2).moved == [(b"a", b"b")]


def test_a_missing_file_counts_as_deleted_after_a_moment() -> None:
    stability = settled_with(a=entry())
    stability.observe(b"a", None, 10.0)
    assert not stability.changes(10.0 + MISSING_SECONDS / 2)
    assert stability.changes(10.0 + MISSING_SECONDS).deleted == [b"a"]


def test_a_file_replaced_by_rename_settles_again_under_its_name() -> None:
    stability = settled_with(a=entry())
    stability.observe(b"a", None, 10.0)
    stability.observe(b"a", entry(inode=2), 10.1)
    changes = stability.changes(12.2)
    assert [found.path for found in changes.settled] == [b"a"]
    assert not changes.deleted
    assert not stability.changes(20.0)


def test_a_file_that_disappears_before_it_settles_is_not_reported() -> None:
    stability = Stability(SETTLE)
    stability.observe(b"a", entry(), 0.0)
    stability.observe(b"a", None, 1.0)
    assert not stability.changes(10.0)


def test_a_full_scan_finds_deleted_files_but_assumes_nothing_about_unreadable_folders() -> None:
    stability = settled_with(**{"x/a": entry(1), "y/b": entry(2)})
    stability.observe_all({}, 10.0, lambda path: path.startswith(b"x/"))
    assert stability.changes(12.0).deleted == [b"y/b"]


def test_changes_that_were_not_delivered_are_reported_again() -> None:
    stability = Stability(SETTLE)
    stability.observe(b"a", entry(), 0.0)
    changes = stability.changes(2.0)
    stability.forget(changes)
    stability.observe(b"a", entry(), 3.0)
    assert stability.changes(5.0) == replace(changes)
