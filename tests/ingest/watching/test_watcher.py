"""What people do in the watched folder is reported as changes."""

import os
import shutil
import socket
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from ingest.types import identity_of
from ingest.watching.folder_scan import filesystem, scan
from ingest.watching.stability import Entry
from ingest.watching.watcher import Changes, EntryKind, Watcher
from tests.mounts import Mounts


class Clock:
    """A clock that moves only when the test moves it."""

    now = 100.0

    def __call__(self) -> float:
        return self.now


class Folder:
    """A watcher driven by hand: `after(seconds)` lets time pass and returns what was reported."""

    def __init__(self, root: Path, there: Callable[[], bool] = lambda: True) -> None:
        self.root = root
        self.clock = Clock()
        self.reports: list[Changes] = []
        self.watcher = Watcher(
            root, settle_s=2.0, rescan_s=60.0, on_change=self.reports.append, there=there, clock=self.clock
        )

    def after(self, seconds: float, *, rescan: bool = True) -> Changes:
        self.clock.now += seconds
        if rescan:
            self.watcher.rescan()
        self.watcher.step()
        merged = Changes()
        for report in self.reports:
            merged.settled.extend(report.settled)
            merged.deleted.extend(report.deleted)
            merged.moved.extend(report.moved)
        self.reports.clear()
        return merged

    def settled(self, *, rescan: bool = True) -> list[bytes]:
        self.after(0)
        return sorted(found.path for found in self.after(2.0, rescan=rescan).settled)


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    return Folder(tmp_path)


def test_files_of_any_visible_name_are_reported_relative_and_as_bytes(folder: Folder) -> None:
    (folder.root / "law").mkdir()
    (folder.root / "law" / "a.pdf").write_bytes(b"1")
    (folder.root / "notes.txt").write_bytes(b"2")
    odd = os.path.join(os.fsencode(folder.root), b'bad\xff"\nname.pdf')  # bytes
    with open(odd, "wb"):  # bytes
        pass
    assert folder.settled() == [b'bad\xff"\nname.pdf', b"law/a.pdf", b"notes.txt"]


@pytest.mark.parametrize(
    "name",
    [".hidden.pdf", "._a.pdf", ".DS_Store", "Thumbs.db", "@eaDir/a.pdf", ".~lock.a.pdf#", "a.pdf.part", "b.crdownload"],
)
def test_other_programs_files_are_ignored(folder: Folder, name: str) -> None:
    (folder.root / name).parent.mkdir(exist_ok=True)
    (folder.root / name).write_bytes(b"1")
    assert folder.settled() == []
    assert folder.watcher.unsettled() == 0


def test_links_special_files_and_folders_named_like_documents_are_distinguished_and_never_opened(
    folder: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder.root / "link.pdf").symlink_to("/etc/passwd")
    (folder.root / "folder.pdf").mkdir()
    (folder.root / "folder.pdf" / "inner.pdf").write_bytes(b"1")
    (folder.root / "linked").symlink_to("/etc")
    os.mkfifo(folder.root / "pipe.pdf")
    with socket.socket(socket.AF_UNIX) as listener:
        monkeypatch.chdir(folder.root)
        listener.bind("socket.pdf")
        folder.after(0)
        kinds = {found.path: found.kind for found in folder.after(2).settled}
    assert kinds == {
        b"link.pdf": EntryKind.LINK,
        b"linked": EntryKind.LINK,
        b"folder.pdf": EntryKind.FOLDER,
        b"pipe.pdf": EntryKind.SPECIAL,
        b"socket.pdf": EntryKind.SPECIAL,
    }


def test_renaming_a_folder_moves_every_file_in_it(folder: Folder) -> None:
    (folder.root / "old").mkdir()
    for name in ("a.pdf", "b.pdf"):
        (folder.root / "old" / name).write_bytes(name.encode())
    folder.settled()
    (folder.root / "old").rename(folder.root / "new")
    changes = folder.after(1)
    assert sorted(changes.moved) == [(b"old/a.pdf", b"new/a.pdf"), (b"old/b.pdf", b"new/b.pdf")]
    assert not folder.after(5)


def test_a_hint_reveals_a_change_without_a_scan(folder: Folder) -> None:
    folder.settled()
    (folder.root / "sub").mkdir()
    (folder.root / "sub" / "a.pdf").write_bytes(b"1")
    folder.watcher.hint(b"sub")
    assert not folder.after(1, rescan=False)
    assert folder.watcher.unsettled() == 1
    assert [found.path for found in folder.after(2, rescan=False).settled] == [b"sub/a.pdf"]
    shutil.rmtree(folder.root / "sub")
    folder.watcher.hint(b"sub")
    folder.after(1, rescan=False)
    assert folder.after(1, rescan=False).deleted == [b"sub/a.pdf"]


def test_the_next_scan_finds_what_a_lost_event_missed(folder: Folder) -> None:
    folder.settled()
    (folder.root / "a.pdf").write_bytes(b"1")
    assert not folder.after(30, rescan=False)
    folder.after(30, rescan=False)
    assert folder.after(2, rescan=False).settled


def test_nothing_counts_as_deleted_while_the_library_itself_is_missing(folder: Folder) -> None:
    (folder.root / "a.pdf").write_bytes(b"1")
    folder.settled()
    folder.root.rename(folder.root.with_name("elsewhere"))
    folder.after(1)
    assert not folder.after(10)


@pytest.fixture
def large(folder: Folder) -> Folder:
    """Pretend that 50,000 more files are known."""
    folder.settled()
    seen = Entry(identity_of(folder.root.stat()))
    for number in range(50_000):
        folder.watcher._stability.observe(b"many/%d.pdf" % number, seen, folder.clock.now)
    folder.watcher._stability.changes(folder.clock.now + 2)
    return folder


def seconds_of(step: Callable[[], object]) -> float:
    """Processor time of a call, which a busy machine does not lengthen."""
    before = time.thread_time()
    step()
    return time.thread_time() - before


@pytest.mark.parametrize("names", [b"many/%d.pdf", b"many/%d", b"new/%d"])
def test_deleting_many_of_very_many_files_costs_one_pass_over_the_known_ones(large: Folder, names: bytes) -> None:
    for number in range(1000):
        large.watcher.hint(names % number)
    assert seconds_of(lambda: large.after(0, rescan=False)) < 3


def test_many_new_folders_among_very_many_files_cost_one_pass_over_the_known_ones(large: Folder) -> None:
    for number in range(500):
        (large.root / f"{number}").mkdir()
        large.watcher.hint(b"%d" % number)
    assert seconds_of(lambda: large.after(0, rescan=False)) < 3


def test_a_removed_folder_with_hints_for_all_its_files_deletes_each_file_once(folder: Folder) -> None:
    (folder.root / "a" / "b").mkdir(parents=True)
    for name in ("a/1.pdf", "a/b/2.pdf", "a.pdf"):
        (folder.root / name).write_bytes(name.encode())
    folder.settled()
    shutil.rmtree(folder.root / "a")
    for path in (b"a", b"a/1.pdf", b"a/b", b"a/b/2.pdf"):
        folder.watcher.hint(path)
    folder.after(0, rescan=False)
    assert sorted(folder.after(1, rescan=False).deleted) == [b"a/1.pdf", b"a/b/2.pdf"]


def test_files_in_a_folder_named_like_a_document_are_deleted_with_it(folder: Folder) -> None:
    (folder.root / "x.pdf").mkdir()
    (folder.root / "x.pdf" / "1.pdf").write_bytes(b"1")
    folder.watcher.hint(b"x.pdf/1.pdf")
    assert folder.settled(rescan=False) == [b"x.pdf", b"x.pdf/1.pdf"]
    shutil.rmtree(folder.root / "x.pdf")
    folder.watcher.hint(b"x.pdf")
    folder.after(0, rescan=False)
    assert sorted(folder.after(1, rescan=False).deleted) == [b"x.pdf", b"x.pdf/1.pdf"]


def test_events_of_ignored_names_are_dropped(folder: Folder) -> None:
    folder.settled()
    for path in (b".docent-upload-1", b"law/a.pdf.part"):
        folder.watcher.hint(path)
    assert not folder.watcher._hints


@pytest.fixture
def mounts(tmp_path: Path) -> Iterator[Mounts]:
    with tempfile.TemporaryDirectory(dir="/dev/shm") as other:
        yield Mounts(tmp_path, Path(other))


def test_a_library_that_returns_on_another_disk_is_scanned_but_its_empty_mount_point_is_not(mounts: Mounts) -> None:
    (mounts.first / "a.pdf").write_bytes(b"1")
    (mounts.first / "b.pdf").write_bytes(b"2")
    folder = Folder(mounts.library)
    assert folder.settled() == [b"a.pdf", b"b.pdf"]
    mounts.mount(mounts.other)
    (mounts.other / ".hidden.pdf").write_bytes(b"")
    folder.after(1)
    assert not folder.after(10)
    (mounts.other / "a.pdf").write_bytes(b"1")
    (mounts.other / "c.pdf").write_bytes(b"3")
    folder.after(1, rescan=False)
    changes = folder.after(2, rescan=False)
    assert sorted(found.path for found in changes.settled) == [b"a.pdf", b"c.pdf"]
    assert changes.deleted == [b"b.pdf"]
    (mounts.other / "a.pdf").unlink()
    folder.after(1)
    assert folder.after(1).deleted == [b"a.pdf"]


def test_changes_made_while_the_library_was_missing_are_reported_once_it_is_back(folder: Folder) -> None:
    (folder.root / "a.pdf").write_bytes(b"1")
    folder.settled()
    away = folder.root.rename(folder.root.with_name(f"{folder.root.name}-away"))
    assert not folder.after(1)
    (away / "a.pdf").rename(away / "b.pdf")
    away.rename(folder.root)
    assert folder.after(1, rescan=False).moved == [(b"a.pdf", b"b.pdf")]


def test_the_library_is_missing_as_long_as_there_says_so(tmp_path: Path) -> None:
    (tmp_path / "a.pdf").write_bytes(b"1")
    there = [True]
    folder = Folder(tmp_path, there=lambda: there[0])
    folder.settled()
    there[0] = False
    (tmp_path / "a.pdf").unlink()
    folder.after(1)
    assert not folder.after(10)
    there[0] = True
    folder.after(0)
    assert folder.after(1).deleted == [b"a.pdf"]


def test_a_library_that_disappears_during_a_scan_does_not_count_as_emptied(tmp_path: Path) -> None:
    (tmp_path / "a.pdf").write_bytes(b"1")
    asked = iter([True, True, True, True, True, False])  # asked twice a round; in the third it disappears
    folder = Folder(tmp_path, there=lambda: next(asked, True))
    assert folder.settled() == [b"a.pdf"]
    (tmp_path / "a.pdf").rename(tmp_path / ".a.pdf")
    assert not folder.after(5)
    (tmp_path / ".a.pdf").rename(tmp_path / "a.pdf")
    assert not folder.after(5, rescan=False).deleted


def test_a_report_that_raises_is_repeated(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    clock = Clock()
    reports: list[Changes] = []

    def once_broken(changes: Changes) -> None:
        reports.append(changes)
        if len(reports) == 1:
            raise RuntimeError("the store is away")

    (tmp_path / "a.pdf").write_bytes(b"1")
    watcher = Watcher(tmp_path, settle_s=2.0, rescan_s=60.0, on_change=once_broken, clock=clock)
    for _ in range(4):
        watcher.step()
        clock.now += 2.5
    assert [found.path for report in reports for found in report.settled] == [b"a.pdf", b"a.pdf"]
    assert "reported again" in caplog.text


def test_an_unreadable_folder_is_named_and_its_files_do_not_count_as_deleted(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    found = scan(os.fsencode(tmp_path))
    found.unreadable.append(b"a")
    assert found.unseen(b"a/x.pdf")
    assert not found.unseen(b"ab/x.pdf")


def test_the_type_of_the_file_system_is_found() -> None:
    assert filesystem(b"/proc") == "proc"
    assert filesystem(b"/no/such/place") == ""


@pytest.fixture
def live(tmp_path: Path) -> Iterator[tuple[Path, Callable[[Callable[[Changes], bool]], None]]]:
    """A real watcher with real events; the second value waits for a report."""
    reports: list[Changes] = []
    watcher = Watcher(tmp_path, settle_s=0.2, rescan_s=600.0, on_change=reports.append)
    watcher.start()

    def wait_for(wanted: Callable[[Changes], bool]) -> None:
        deadline = time.monotonic() + 20
        while not any(wanted(report) for report in list(reports)):
            assert time.monotonic() < deadline, reports
            time.sleep(0.02)

    yield tmp_path, wait_for
    watcher.stop()


def test_adding_moving_and_deleting_are_noticed_by_events(
    live: tuple[Path, Callable[[Callable[[Changes], bool]], None]],
) -> None:
    root, wait_for = live
    (root / "new").mkdir()
    (root / "new" / "a.pdf").write_bytes(b"1")
    wait_for(lambda changes: [found.path for found in changes.settled] == [b"new/a.pdf"])
    (root / "new" / "a.pdf").rename(root / "b.pdf")
    wait_for(lambda changes: changes.moved == [(b"new/a.pdf", b"b.pdf")])
    (root / "b.pdf").unlink()
    wait_for(lambda changes: changes.deleted == [b"b.pdf"])
