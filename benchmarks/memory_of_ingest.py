"""Checks that the memory of reading a PDF does not grow with its pages.

    python -m benchmarks.memory_of_ingest [--pages 10000] [--base 100] [--words 220] [--seed 1]

Two services in turn, each on a home of its own, read one PDF of prose: `base` pages, then `pages`. The memory of the
service and all its children is sampled several times a second from `/proc/PID/smaps_rollup`. Three figures: anonymous
(heaps, stacks, SQLite's page caches: what the processes own), proportional (PSS, with mapped libraries and models,
shared pages counted once), and within it the mapped database, which the kernel can reclaim at any time. The limit is on
the proportional size without the mapped database: at most 1.15 times as much for the long PDF, and under 600 MB.
Where a control group can be made, its peak is printed too: all memory, the file cache of reads and writes included.
Exit code 1 if a limit is exceeded or the PDF is not indexed.
"""

import argparse
import contextlib
import os
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import psutil

from benchmarks.papers import Prose, paper
from benchmarks.serving import SERVE, Service, serving

MOST_RATIO, MOST_BYTES = 1.15, 600e6
_SAMPLE_SECONDS = 0.15
_DONE_SECONDS = 4 * 3600.0
_MIB = 1 << 20


@dataclass(frozen=True, slots=True)
class Sample:
    """Memory of a service and its children together, in bytes."""

    anonymous: int = 0
    proportional: int = 0
    database: int = 0
    children: int = 0

    @property
    def counted(self) -> int:
        return self.proportional - self.database


@dataclass(slots=True)
class Peaks:
    """The maximum of each figure in bytes, and the sample with the highest `counted`; `first_peak` in seconds."""

    anonymous: int = 0
    proportional: int = 0
    database: int = 0
    highest: Sample = Sample()
    samples: int = 0
    first_peak: float = 0.0
    log: int = 0
    group: int = 0

    def add(self, sample: Sample, seconds: float, log: int) -> None:
        self.samples += 1
        self.anonymous = max(self.anonymous, sample.anonymous)
        self.proportional = max(self.proportional, sample.proportional)
        self.database = max(self.database, sample.database)
        self.log = max(self.log, log)
        if sample.counted > self.highest.counted:
            self.highest, self.first_peak = sample, seconds


class Sampler(threading.Thread):
    """Samples one service until `stop`."""

    def __init__(self, service: Service) -> None:
        super().__init__(name="sampler", daemon=True)
        self.peaks = Peaks()
        self._service = service
        self._ended = threading.Event()

    def run(self) -> None:
        began = time.monotonic()
        while not self._ended.wait(_SAMPLE_SECONDS):
            with contextlib.suppress(OSError):
                log = Path(f"{self._service.database}-wal").stat().st_size
                self.peaks.add(sample(self._service), time.monotonic() - began, log)

    def stop(self) -> Peaks:
        """Stops sampling and returns the peaks."""
        self._ended.set()
        self.join()
        return self.peaks


def sample(service: Service) -> Sample:
    """Measures the service and its children now."""
    total = Sample()
    family = [service.pid, *(child.pid for child in service.children())]
    for pid in family:
        with contextlib.suppress(OSError, psutil.Error):  # a child may have ended
            fields = _fields(Path(f"/proc/{pid}/smaps_rollup").read_text())
            total = replace(
                total,
                anonymous=total.anonymous + fields["Pss_Anon"] + fields.get("SwapPss", 0),
                proportional=total.proportional + fields["Pss"],
                children=total.children + (pid != service.pid and fields["Pss"]),
            )
    return replace(total, database=_mapped(service.pid, str(service.database)))


def _mapped(pid: int, prefix: str) -> int:
    """Proportional size in bytes of the process's mappings of the database and of its log's index."""
    total, ours = 0, False
    for line in Path(f"/proc/{pid}/smaps").read_text().splitlines():
        first = line.split(" ", 1)[0]
        if not first.endswith(":"):
            ours = line.partition("/")[2] != "" and f"/{line.partition('/')[2]}".startswith(prefix)
        elif ours and first == "Pss:":
            total += int(line.split()[1]) * 1024
    return total


def _fields(text: str) -> dict[str, int]:
    pairs = (line.split(":", 1) for line in text.splitlines()[1:])
    return {name: int(rest.split()[0]) * 1024 for name, rest in pairs}


@contextlib.contextmanager
def _group(name: str) -> Iterator[Path | None]:
    """Makes a memory control group (version 1); yields None where that is not possible."""
    folder = None
    with contextlib.suppress(OSError, StopIteration):
        own = next(line for line in Path("/proc/self/cgroup").read_text().splitlines() if ":memory:" in line)
        folder = Path("/sys/fs/cgroup/memory") / own.split(":", 2)[2].lstrip("/") / name
        folder.mkdir()
    try:
        yield folder
    finally:
        if folder is not None:
            _remove(folder)


def _remove(group: Path) -> None:
    """Removes the group once it is empty: the children of a service end a moment after it. Gives up after 10 s."""
    deadline = time.monotonic() + 10.0
    while group.exists() and time.monotonic() < deadline:
        with contextlib.suppress(OSError):
            group.rmdir()
        time.sleep(0.1)


def _in(group: Path | None) -> Sequence[str]:
    """The command that starts a service inside the group."""
    if group is None:
        return SERVE
    return ("sh", "-c", 'echo $$ > "$0" && exec "$@"', str(group / "cgroup.procs"), *SERVE)


def measure(pages: int, words: int, seed: int, folder: Path) -> tuple[Peaks, float, int]:
    """Indexes one PDF; returns the peaks, the seconds and the number of chunks."""
    made = paper(folder / f"{pages}.pdf", Prose(seed).pages(pages, words))
    with (
        _group(f"docent-{os.getpid()}-{pages}") as group,
        serving(folder / f"home-{pages}", command=_in(group)) as service,
    ):
        sampler = Sampler(service)
        sampler.start()
        began = time.monotonic()
        os.link(
            made, service.library / "long.pdf"
        )  # a copy would charge its file cache to this process's control group
        service.wait_done(_DONE_SECONDS, 1)
        seconds = time.monotonic() - began
        peaks = sampler.stop()
        document = next(service.client.documents())
        if document.state != "indexed" or document.pages != pages:
            sys.exit(f"not read: {document}")
        if group is not None:
            peaks.group = int((group / "memory.max_usage_in_bytes").read_text())
        return peaks, seconds, document.chunks


def main() -> None:
    parser = argparse.ArgumentParser(description="Peak memory of reading a long PDF, beside a short one.")
    parser.add_argument("--pages", type=int, default=10_000)
    parser.add_argument("--base", type=int, default=100)
    parser.add_argument("--words", type=int, default=220, help="words a page")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    print(
        f"{'pages':>7}{'chunks':>8}{'s':>7}{'counted':>9}{'anon':>7}{'PSS':>7}{'database':>9}{'children':>9}{'log':>6}{'group':>7}  MiB at most"
    )
    counted = []
    with tempfile.TemporaryDirectory(prefix="memory-", dir="/tmp") as folder:
        for pages in (options.base, options.pages):
            peaks, seconds, chunks = measure(pages, options.words, options.seed, Path(folder))
            counted.append(peaks.highest.counted)
            sizes = (
                peaks.highest.counted,
                peaks.anonymous,
                peaks.proportional,
                peaks.database,
                peaks.highest.children,
                peaks.log,
                peaks.group,
            )
            shown = "".join(f"{size // _MIB:{width}}" for size, width in zip(sizes, (9, 7, 7, 9, 9, 6, 7), strict=True))
            print(
                f"{pages:7}{chunks:8}{seconds:7.0f}{shown}  ({peaks.samples} samples, peak after {peaks.first_peak:.0f} s)",
                flush=True,
            )
    ratio = counted[1] / counted[0]
    print(f"ratio {ratio:.3f} (at most {MOST_RATIO}), {counted[1] / 1e6:.0f} MB (under {MOST_BYTES / 1e6:.0f})")
    sys.exit(ratio > MOST_RATIO or counted[1] > MOST_BYTES)


if __name__ == "__main__":
    main()
