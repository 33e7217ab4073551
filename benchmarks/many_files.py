"""Checks that each of very many small files dropped at once is read exactly once, in flat memory.

    python -m benchmarks.many_files [--files 10000] [--base 1000] [--seed 1]

Some files are written slowly, in pieces; some are touched repeatedly while they wait; some are renamed while queued.
"Once" is judged by the row ids that the tables ever assigned (documents, revisions, chunks) and by the lines of the
log. Memory is sampled throughout: the service's anonymous memory may reach 1.25 times its peak up to the first `base`
files. Exit code 1 if either check fails.
"""

import argparse
import contextlib
import math
import os
import re
import sys
import tempfile
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

from appliance.errors import DocentError
from benchmarks.contents import made_in_all
from benchmarks.papers import Prose, paper
from benchmarks.serving import Service, serving

MOST_RATIO = 1.25
_DONE_SECONDS = 6 * 3600.0
_SHARE_SLOW, _SHARE_TOUCHED, _SHARE_RENAMED = 0.01, 0.02, 0.02
_PIECES = 5
_MIB = 1 << 20


@dataclass(slots=True)
class Memory:
    """Peaks of the service's own memory in bytes, up to the first `base` files and overall.

    `curve` maps thousands of finished files to the peak of anonymous memory meanwhile.
    """

    base_anonymous: int = 0
    anonymous: int = 0
    resident: int = 0
    curve: dict[int, int] = field(default_factory=dict)

    def add(self, done: int, base: int, anonymous: int, resident: int) -> None:
        if done <= base:
            self.base_anonymous = max(self.base_anonymous, anonymous)
        self.anonymous = max(self.anonymous, anonymous)
        self.resident = max(self.resident, resident)
        thousand = done // 1000
        self.curve[thousand] = max(self.curve.get(thousand, 0), anonymous)


class Watcher(threading.Thread):
    """Samples the service's memory until `done` is set."""

    def __init__(self, service: Service, files: int, base: int) -> None:
        super().__init__(name="sampler", daemon=True)
        self.memory = Memory()
        self.done = threading.Event()
        self._service, self._files, self._base = service, files, base

    def run(self) -> None:
        while not self.done.is_set():
            with contextlib.suppress(OSError, DocentError):
                documents = self._service.client.status().documents
                finished = documents.indexed + documents.failed
                fields = _status(self._service.pid)
                self.memory.add(finished, self._base, fields["RssAnon"], fields["VmRSS"])
            self.done.wait(0.5)


class Drop:
    """Writes the files and disturbs some of them while they wait."""

    def __init__(self, library: Path, count: int, seed: int) -> None:
        self._library = library
        self._random = Random(seed)
        self._prose = Prose(seed)
        numbers = list(range(count))
        self._random.shuffle(numbers)
        slow, touched, renamed = (math.ceil(count * share) for share in (_SHARE_SLOW, _SHARE_TOUCHED, _SHARE_RENAMED))
        self._slow, rest = numbers[:slow], numbers[slow:]
        self._touched, rest = rest[:touched], rest[touched:]
        self._renamed = rest[:renamed]
        self._at_once = numbers[slow:]

    def at_once(self) -> None:
        """Writes all files but the slow ones, last those that `meanwhile` renames or touches."""
        last = {*self._renamed, *self._touched}
        for number in sorted(self._at_once, key=lambda one: one in last):
            paper(self._path(number), self._prose.pages(1, 30))

    def meanwhile(self) -> None:
        """Renames files, touches files, and writes the slow ones in pieces, interleaved."""
        data = {
            number: paper(self._library / ".piece", self._prose.pages(1, 200)).read_bytes() for number in self._slow
        }
        for number in self._renamed:
            self._path(number).rename(self._library / "renamed" / f"n{number}.pdf")
        for piece in range(_PIECES):
            for number, content in data.items():
                size = len(content) // _PIECES + 1
                with self._path(number).open("ab") as file:
                    file.write(content[piece * size : (piece + 1) * size])
            for number in self._touched:
                os.utime(self._path(number))
            time.sleep(0.2)  # shorter than the settle period, so that no file settles in between
        (self._library / ".piece").unlink()

    def _path(self, number: int) -> Path:
        folder = self._library / f"f{number % 50:02}"
        folder.mkdir(exist_ok=True)
        (self._library / "renamed").mkdir(exist_ok=True)
        return folder / f"n{number}.pdf"


def judge(service: Service, files: int) -> list[str]:
    """Returns the faults: files not indexed, or read more than once."""
    faults = []
    states = Counter(document.state for document in service.client.documents())
    if states != {"indexed": files}:
        faults.append(f"states of the documents: {dict(states)}")
    for table in ("documents", "revisions"):
        if (made := made_in_all(service.database, table)) != files:
            faults.append(f"{made} {table} were made for {files} files")
    chunks = service.client.status().chunks
    if (made := made_in_all(service.database, "chunks")) != chunks:
        faults.append(f"{made} chunks were made, {chunks} are in the store")
    read = Counter(re.findall(r"read (\S+\.pdf): ", service.log.read_text()))
    if again := [name for name, times in read.items() if times > 1]:
        faults.append(f"{len(again)} files were read more than once, for example {again[0]}")
    return faults


def _status(pid: int) -> dict[str, int]:
    lines = (line.split() for line in Path(f"/proc/{pid}/status").read_text().splitlines())
    return {words[0].rstrip(":"): int(words[1]) * 1024 for words in lines if words[-1] == "kB"}


def main() -> None:
    parser = argparse.ArgumentParser(description="Many small files at once: read once, in flat memory.")
    parser.add_argument("--files", type=int, default=10_000)
    parser.add_argument("--base", type=int, default=1000, help="files after which memory must be flat")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    # settle period long enough that the pieces of a file count as one write even on a loaded machine
    settings = {"DOCENT_LIBRARY_SETTLE_SECONDS": "2.0"}
    with (
        tempfile.TemporaryDirectory(prefix="many-", dir="/tmp") as folder,
        serving(Path(folder) / "home", **settings) as service,
    ):
        watcher = Watcher(service, options.files, options.base)
        drop = Drop(service.library, options.files, options.seed)
        watcher.start()
        began = time.monotonic()
        drop.at_once()
        drop.meanwhile()
        service.wait_done(_DONE_SECONDS, options.files)
        seconds = time.monotonic() - began
        watcher.done.set()
        watcher.join()
        faults = judge(service, options.files)
    memory = watcher.memory
    ratio = memory.anonymous / max(1, memory.base_anonymous)
    print(f"{options.files} files in {seconds:.0f} s, {options.files / seconds:.1f} a second")
    print(f"{'thousands done':>16}{'MiB anonymous at most':>24}")
    for thousand, peak in sorted(memory.curve.items()):
        print(f"{thousand:16}{peak // _MIB:24}")
    print(f"resident, mapped files included: {memory.resident // _MIB} MiB")
    print(f"memory {ratio:.2f} times that of the first {options.base} (at most {MOST_RATIO})")
    if ratio > MOST_RATIO:
        faults.append("memory is not flat")
    for fault in faults:
        print(f"FAULT {fault}")
    print(f"{len(faults)} faults")
    sys.exit(bool(faults))


if __name__ == "__main__":
    main()
