"""Checks that a store comes through kills, full disks, disk errors and power cuts with the content it should have.

    python -m benchmarks.torture [--kills 200] [--seed 1] [--interval-every 25] [--keep FOLDER]
    python -m benchmarks.torture --aimed-only [--mutate] --kills 12

Runs a real `docent serve` on a small ext4 disk, with a library that changes all the time (`library_life`). The seed
decides every kill. Half are aimed: at a write to the write-ahead log (inside a commit), or at a document that is being
replaced. The others come at any moment, startup included. One in five of these hits a child of the service instead. The
log that remains shows how many kills fell inside a transaction. Between kills the disk is full for a while, fails and
turns read-only, or loses power (needs root; otherwise left out with a note). At the end an undisturbed service reads a
copy of the library with another batch size, and the two stores are compared: by `Store.digest()`, and by `contents`,
which reads the tables itself. Exit code 1 if they differ or any other fault is found.

`--mutate` injects a fault (`progress_apart`); the exit code is then 0 only if the proof finds it. It implies
`--aimed-only` (no child is killed, the disk is left alone), so that nothing else can cause the finding. The same run
without `--mutate` is the control.
"""

import argparse
import contextlib
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

import psutil

from appliance.errors import DocentError
from appliance.store import EmbedderKey, Store
from benchmarks.contents import differences, read
from benchmarks.library_life import Life
from benchmarks.serving import SERVE, DiedError, Service, serving
from benchmarks.small_disk import SmallDisk, small_disk, unavailable_because
from benchmarks.write_ahead import ends_inside_a_transaction, wait_for_write
from models.embedding.embedder import BUILTIN, Embedder

MUTANT = (sys.executable, "-m", "benchmarks.progress_apart", "serve")
_DISK_BYTES = 512 << 20
_AIM_SECONDS = 15.0
_INTERVAL_SECONDS = 6.0
_DONE_SECONDS = 1800.0


@dataclass(slots=True)
class Outcome:
    """Counts of kills, changes and documents; `faults` is empty if none was found."""

    done: Counter[str] = field(default_factory=Counter)
    changes: Counter[str] = field(default_factory=Counter)
    faults: list[str] = field(default_factory=list)
    documents: Counter[str] = field(default_factory=Counter)
    chunks: int = 0


class Torture:
    """One run on one home."""

    def __init__(self, service: Service, life: Life, seed: int, disk: SmallDisk | None, aimed_only: bool) -> None:
        self._service = service
        self._life = life
        self._random = Random(f"kills {seed}")
        self._disk = disk
        self._aimed_only = aimed_only
        self.outcome = Outcome()

    def run(self, kills: int, interval_every: int) -> None:
        """Runs all kills, then lets the service index everything."""
        self._service.library.mkdir(parents=True, exist_ok=True)
        self._life.begin()
        for number in range(1, kills + 1):
            self._one(number)
            if self._disk and number % interval_every == 0:
                self._interval(self._disk, number // interval_every)
            if number % 25 == 0:
                print(f"{number} kills: {dict(self.outcome.done)}", file=sys.stderr, flush=True)
        self._up()
        self._end()
        self._up()  # a start retries documents that wait for their next attempt
        self._service.wait_done(_DONE_SECONDS)
        self._end()

    def _one(self, number: int) -> None:
        if number % 2 and not self._aimed_only:
            self._anywhere()
        elif number % 4:
            self._commit()
        else:
            self._replacement()
        if number % 50 == 0:
            self.outcome.faults += [f"after {number} kills: {fault}" for fault in sound(self._service.database)]

    # Kills

    def _anywhere(self) -> None:
        """Kills within the first seconds after a start or at any later time; sometimes kills a child instead."""
        for _ in range(self._random.randrange(3)):
            self._change()
        if self._random.random() < 0.4:
            self._life.work()
            self._up()
            time.sleep(self._random.random() * 2)
            self._kill_child()
            return
        if not self._service.runs:
            self._service.start()
        time.sleep(self._random.random() * 3)
        self._kill("at any moment")

    def _commit(self) -> None:
        """Kills while the log is being written, not always at its first page."""
        self._up()
        self.outcome.changes["add"] += 1
        self._life.work()
        self._strike(self._random.randrange(1, 8), "commit")

    def _replacement(self) -> None:
        """Kills while new content is indexed beside the old, or while the new takes over."""
        self._up()
        path = self._life.replacement()
        self.outcome.changes["replace"] += 1
        at_switch = self._random.random() < 0.5
        if not self._wait_replacing(path, at_switch):
            self._kill("replacement missed")
            return
        if at_switch or self._random.random() < 0.5:
            self._strike(1, "replacement, commit")
        else:
            time.sleep(self._random.random() * 0.5)
            self._kill("replacement")

    def _strike(self, writes: int, aim: str) -> None:
        """Kills at the `writes`-th write to the log, or up to 3 ms later."""
        log = Path(f"{self._service.database}-wal")
        later = self._random.choice((0.0, 0.0, self._random.random() * 0.003))
        with urgent():
            met = all(wait_for_write(log, _AIM_SECONDS) for _ in range(writes))
            _spin(later)
            self._service.kill()
        self._kill(aim if met else f"{aim} missed")

    def _wait_replacing(self, path: str, at_switch: bool) -> bool:
        deadline = time.monotonic() + _AIM_SECONDS * 2
        while time.monotonic() < deadline:
            with contextlib.suppress(DocentError):
                found = next(self._service.client.documents(document=path), None)
                if found and found.state == "indexing":
                    read_to_the_end = found.pages and found.pages_done >= found.pages - 2
                    if read_to_the_end or not at_switch:
                        return True
        return False

    def _kill(self, aim: str) -> None:
        self._service.kill()
        self.outcome.done[aim] += 1
        if ends_inside_a_transaction(Path(f"{self._service.database}-wal")):
            self.outcome.done["(left an unfinished transaction)"] += 1

    def _kill_child(self) -> None:
        deadline = time.monotonic() + _AIM_SECONDS
        while time.monotonic() < deadline:
            if children := self._service.children():
                with contextlib.suppress(psutil.NoSuchProcess):
                    self._random.choice(children).kill()
                    self.outcome.done["child"] += 1
                    return
        self._kill("at any moment")

    # Disk faults

    def _interval(self, disk: SmallDisk, number: int) -> None:
        what = (self._full, self._failed, self._cut, self._locked)[number % 4]
        what(disk)

    def _full(self, disk: SmallDisk) -> None:
        """Fills the disk for some seconds while there is work; half the time kills in between."""
        self._up()
        for _ in range(3):
            self._life.work()
        disk.fill()
        time.sleep(_INTERVAL_SECONDS / 2)
        if self._random.random() < 0.5:
            self._kill("on a full disk")
            with contextlib.suppress(DiedError):  # the service refuses to start on a full disk
                self._service.start()
                self._service.wait_ready()
        time.sleep(_INTERVAL_SECONDS / 2)
        disk.free()
        self.outcome.done["full disk"] += 1

    def _failed(self, disk: SmallDisk) -> None:
        """Makes the disk read-only under the running service, which must go on answering."""
        self._up()
        for _ in range(3):
            self._life.work()
        wait_for_write(Path(f"{self._service.database}-wal"), _AIM_SECONDS)
        disk.fail()
        time.sleep(_INTERVAL_SECONDS)
        if not self._service.runs:
            self.outcome.faults.append("the service died when its disk turned read-only")
        else:
            self._still_answers()
        self._kill("on a read-only disk")
        disk.replug()
        self.outcome.done["read-only disk"] += 1

    def _cut(self, disk: SmallDisk) -> None:
        """Cuts the power while the log is written."""
        self._up()
        for _ in range(3):
            self._life.work()
        _sync(disk)
        for _ in range(self._random.randrange(2, 9)):
            wait_for_write(Path(f"{self._service.database}-wal"), _AIM_SECONDS)
        disk.cut()
        self._service.kill()
        disk.replug()
        self.outcome.done["power cut"] += 1

    def _locked(self, disk: SmallDisk) -> None:
        """Starts the service on a read-only disk: it refuses, and the data stays intact."""
        if self._service.runs:
            self._kill("before a read-only start")
        self._life.work()
        disk.remount("ro")
        self._service.start()
        with contextlib.suppress(DiedError, TimeoutError):
            self._service.wait_ready(30.0)
        self._service.kill()
        disk.remount("rw")
        self.outcome.done["read-only start"] += 1

    def _still_answers(self) -> None:
        try:
            self._service.client.search("harbour valve", k=3)
        except DocentError as error:
            self.outcome.faults.append(f"no answer from a read-only disk: {error}")

    # Between kills

    def _end(self) -> None:
        if self._service.stop() != 0:
            self.outcome.faults.append("the service did not exit with code 0")

    def _change(self) -> None:
        self.outcome.changes[self._life.something()] += 1

    def _up(self) -> None:
        if not self._service.runs:
            self._service.start()
        self._service.wait_ready()


@contextmanager
def urgent() -> Iterator[None]:
    """Raises this process's priority while the block runs, if allowed: an aimed kill must not come too late."""
    before = os.getpriority(os.PRIO_PROCESS, 0)
    with contextlib.suppress(PermissionError):
        os.setpriority(os.PRIO_PROCESS, 0, -19)
    try:
        yield
    finally:
        with contextlib.suppress(PermissionError):
            os.setpriority(os.PRIO_PROCESS, 0, before)


def sound(database: Path) -> list[str]:
    """The faults that `Store.check` finds in a store that no process has open."""
    with _opened(database) as store:
        return store.check()


def judge(outcome: Outcome, tortured: Path, undisturbed: Path) -> None:
    """Compares the stores of the two homes by digest and by content."""
    digests = []
    for home in (tortured, undisturbed):
        with _opened(home / "docent.db") as store:
            outcome.faults += [f"{home.name}: {fault}" for fault in store.check()]
            digests.append(store.digest())
            if home == undisturbed:
                outcome.documents.update({str(state): count for state, count in store.counts().items()})
                outcome.chunks = store.chunk_count()
    if digests[0] != digests[1]:
        outcome.faults.append("the digests differ")
    outcome.faults += differences(tortured / "docent.db", undisturbed / "docent.db")


@contextmanager
def _opened(database: Path) -> Iterator[Store]:
    with Embedder.open(BUILTIN, threads=1) as embedder:
        key = EmbedderKey(embedder.identity, embedder.name, embedder.dimensions)
        with Store.open(database, embedder=key, embed_name=embedder.embed_passage) as store:
            yield store


def _spin(seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        pass


def _sync(disk: SmallDisk) -> None:
    """Syncs the files added to the library: losing unsynced ones is not the service's fault."""
    subprocess.run(["sync", "--file-system", disk.path], check=True)


def torture(
    folder: Path, kills: int, seed: int, interval_every: int, *, aimed_only: bool = False, mutate: bool = False
) -> Outcome:
    """Runs the whole proof in an empty folder."""
    command = MUTANT if mutate else SERVE
    scratch = folder / "scratch"
    scratch.mkdir()
    with contextlib.ExitStack() as stack:
        disk = None if aimed_only or unavailable_because() else stack.enter_context(small_disk(folder, _DISK_BYTES))
        home = disk.path / "home" if disk else folder / "home"
        home.mkdir()
        service = Service(home, folder / "tortured.log", command=command, DOCENT_INGEST_BATCH_CHUNKS="8")
        run = Torture(service, Life(home / "library", scratch, seed), seed, disk, aimed_only)
        try:
            run.run(kills, interval_every)
        except (DiedError, TimeoutError) as error:
            run.outcome.faults.append(str(error))
        finally:
            if service.runs:
                service.kill()
        shutil.copytree(home, folder / "tortured", ignore=shutil.ignore_patterns("*.sock"))
    shutil.copytree(folder / "tortured" / "library", folder / "undisturbed" / "library")
    with serving(folder / "undisturbed") as undisturbed:
        undisturbed.wait_done(_DONE_SECONDS)
    judge(run.outcome, folder / "tortured", folder / "undisturbed")
    return run.outcome


def main() -> None:
    parser = argparse.ArgumentParser(description="Survival of the store: kills, full disks, disk errors, power cuts.")
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--interval-every", type=int, default=25, help="kills between two disk faults")
    parser.add_argument(
        "--aimed-only", action="store_true", help="only kills of the service in commits and replacements"
    )
    parser.add_argument("--mutate", action="store_true", help="inject a fault and check that it is found")
    parser.add_argument("--keep", type=Path, help="an empty folder to work in, kept afterwards")
    options = parser.parse_args()
    if why := unavailable_because():
        print(f"disk faults are left out: {why}")
    with contextlib.ExitStack() as stack:
        folder = options.keep or Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="torture-", dir="/tmp")))
        began = time.monotonic()
        outcome = torture(
            folder,
            options.kills,
            options.seed,
            options.interval_every,
            aimed_only=options.aimed_only or options.mutate,
            mutate=options.mutate,
        )
        seconds = time.monotonic() - began
        others = read(folder / "undisturbed" / "docent.db").other_tables
    report(outcome, seconds, others)
    if options.mutate:
        print("the fault was found" if outcome.faults else "THE FAULT WAS NOT FOUND")
    sys.exit(bool(outcome.faults) != options.mutate)


def report(outcome: Outcome, seconds: float, others: set[str]) -> None:
    """Prints the counts and the faults."""
    for title, counts in (("kills and disk faults", outcome.done), ("changes", outcome.changes)):
        print(f"{title}: {', '.join(f'{what} {count}' for what, count in sorted(counts.items()))}")
    print(f"at the end: {dict(outcome.documents)}, {outcome.chunks} chunks; {seconds:.0f} s")
    print(f"tables not compared: {', '.join(sorted(others)) or 'none'}")
    for fault in outcome.faults[:40]:
        print(f"FAULT {fault}")
    print(f"{len(outcome.faults)} faults")


if __name__ == "__main__":
    main()
