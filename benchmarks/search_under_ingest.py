"""Measures search latency while documents are indexed in bulk, beside searches on the idle service.

    python -m benchmarks.search_under_ingest FOLDER [--queries 200] [--pause 0.05] [--indexed 10] [--rate-seconds 15]

A real `docent serve` indexes `--indexed` PDFs of the folder and is then idle while one client searches over the socket,
each time with a new query made of words of the passages. Then all other PDFs are added, and the client sends as many
searches while they are indexed. `--pause` is the time in seconds between an answer and the next query. Prints p50 and
p95 of both, their ratio, the time of each step of a search, and the passages indexed per second without and with
searches. There is no pass or fail.
"""

import argparse
import random
import shutil
import statistics
import sys
import tempfile
import time
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path

import apsw

from appliance.client import Client
from benchmarks.served import percentile, served


@dataclass
class Measured:
    """Seconds of each search of one phase, and the total of each step that the service reports."""

    seconds: list[float] = field(default_factory=list)
    steps: dict[str, float] = field(default_factory=lambda: defaultdict(float))

    def __str__(self) -> str:
        each = [1000 * one for one in self.seconds]
        steps = ", ".join(f"{name} {1000 * total / len(each):.1f}" for name, total in self.steps.items())
        return f"{len(each)} searches, p50 {statistics.median(each):.1f} ms, p95 {percentile(each, 95):.1f} ms; mean {steps}"


def questions(database: Path, count: int, seed: int) -> list[str]:
    """Makes queries of adjacent words of the passages."""
    chance = random.Random(seed)
    connection = apsw.Connection(str(database), flags=apsw.SQLITE_OPEN_READONLY)
    texts = [str(text).split() for (text,) in connection.execute("SELECT text FROM chunks ORDER BY id")]
    connection.close()
    made = []
    for _ in range(count):
        text = chance.choice(texts)
        at = chance.randrange(max(1, len(text) - 8))
        made.append(" ".join(text[at : at + 8]) or "annual report")
    return made


def search(client: Client, queries: list[str], pause: float, *, while_busy: bool) -> Measured:
    """Sends all queries; with `while_busy`, stops early with a warning if the service has nothing left to index."""
    measured = Measured()
    for number, question in enumerate(queries):
        begun = time.perf_counter()
        found = client.search(question, k=5)
        measured.seconds.append(time.perf_counter() - begun)
        for name, seconds in found.timings.items():
            measured.steps[name] += seconds
        time.sleep(pause)
        if while_busy and number % 20 == 19 and client.status().queue == 0:
            print(f"indexing ended after {number + 1} searches: give a folder with more PDFs", file=sys.stderr)
            break
    return measured


def drop(files: list[Path], library: Path) -> None:
    for file in files:
        shutil.copy(file, library / f".{file.name}")
        (library / f".{file.name}").rename(library / file.name)


def rate(client: Client, seconds: float) -> float:
    """Passages indexed per second, measured over `seconds`."""
    first, begun = client.status().chunks, time.perf_counter()
    time.sleep(seconds)
    return (client.status().chunks - first) / (time.perf_counter() - begun)


def main() -> None:
    parser = argparse.ArgumentParser(description="Search latency during a bulk ingest.")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--queries", type=int, default=200)
    parser.add_argument("--pause", type=float, default=0.05)
    parser.add_argument("--indexed", type=int, default=10)
    parser.add_argument("--rate-seconds", type=float, default=15)
    options = parser.parse_args()
    files = sorted(path for path in options.folder.rglob("*.pdf"))
    random.Random(7).shuffle(files)
    with tempfile.TemporaryDirectory(prefix="docent-bench-", dir="/tmp") as folder:
        home = Path(folder)
        with served(home) as service:
            client = service.client
            drop(files[: options.indexed], home / "library")
            while (status := client.status()).queue or status.documents.indexed < options.indexed // 2:
                time.sleep(0.2)
            queries = questions(home / "docent.db", 2 * options.queries + 20, 7)
            search(client, queries[:20], 0, while_busy=False)
            print(f"{status.chunks} passages")
            idle = search(client, queries[20 : options.queries + 20], options.pause, while_busy=False)
            print(f"idle:   {idle}")
            drop(files[options.indexed :], home / "library")
            while client.status().documents.indexing == 0:
                time.sleep(0.1)
            quiet = rate(client, options.rate_seconds)
            before, begun = client.status().chunks, time.perf_counter()
            busy = search(client, queries[options.queries + 20 :], options.pause, while_busy=True)
            shared = (client.status().chunks - before) / (time.perf_counter() - begun)
            print(f"ingest: {busy}")
    ratio = {which: percentile(busy.seconds, which) / percentile(idle.seconds, which) for which in (50, 95)}
    print(f"ratio:  p50 {ratio[50]:.2f}, p95 {ratio[95]:.2f}")
    print(f"passages per second: {quiet:.1f} without searches, {shared:.1f} with them")


if __name__ == "__main__":
    main()
