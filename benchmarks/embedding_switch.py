"""Measures searches while the embedding model of a full index is switched, and checks the store afterwards.

    python -m benchmarks.embedding_switch [--chunks 20000] [--words 60] [--clients 2] [--pause 1] [--seed 4]
                                          [--idle-seconds 20]

Fills a store with made-up documents, embedded by the built-in model, and serves it with a real `docent serve`. Then
configures another model (the built-in graph with other prefixes: other vectors, the same cost) and sends SIGHUP.
Clients search over the socket until only the new model answers. Each query is new, and `--pause` seconds lie between an
answer and the next query: without a pause the rebuild runs at a quarter of its speed. Documents are added, renamed and
deleted meanwhile, which needs at least 750 chunks. Prints the number of queries before, during and after the switch,
the failures, the latencies and the service's memory. Then examines the store: every vector must be the new model's, and
a sample is compared with vectors that the model computes afresh. Exit code 1 if an assertion fails or the service ends.
"""

import argparse
import json
import os
import random
import shutil
import signal
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import psutil

from appliance.client import Client
from appliance.store import EmbedderKey, Store
from benchmarks.served import Service, percentile, served
from ingest.chunking.chunker import embedded_text
from ingest.types import Batch, Chunk, DocumentInfo, EmbeddedChunk, Page, RevisionKey, identity_of
from models.embedding.embedder import BUILTIN, Embedder

SYLLABLES = [
    "ba",
    "co",
    "di",
    "fu",
    "ga",
    "ho",
    "ki",
    "lu",
    "ma",
    "no",
    "pi",
    "ru",
    "sa",
    "to",
    "vi",
    "wu",
    "xa",
    "yo",
    "ze",
    "al",
    "en",
    "or",
    "us",
]
CHUNKS_A_DOCUMENT = 50
SAMPLES = Path(__file__).resolve().parents[1] / "appliance" / "samples"


def words(chance: random.Random, count: int) -> str:
    """A text of made-up words with a realistic distribution: few are frequent, many are rare."""
    return " ".join(_VOCABULARY[min(int(chance.paretovariate(0.6)), len(_VOCABULARY)) - 1] for _ in range(count))


_VOCABULARY = ["".join(random.Random(n).choices(SYLLABLES, k=2 + n % 3)) for n in range(4000)]


def variant(folder: Path) -> Path:
    """Writes another model into the folder: the built-in graph and tokenizer with other prefixes."""
    folder.mkdir()
    manifest = json.loads((BUILTIN / "manifest.json").read_text())
    for name in manifest["sha256"]:
        shutil.copy(BUILTIN / name, folder / name)
    manifest |= {"name": "other", "passage_prefix": "passage: ", "query_prefix": "query: "}
    (folder / "manifest.json").write_text(json.dumps(manifest))
    return folder


def fill(home: Path, embedder: Embedder, chunks: int, length: int, seed: int) -> None:
    """Makes a library of files and a store that has them indexed."""
    chance = random.Random(seed)
    (home / "library").mkdir()
    key = EmbedderKey(embedder.identity, embedder.name, embedder.dimensions)
    with Store.open(home / "docent.db", embedder=key, embed_name=embedder.embed_passage) as store:
        for number in range(chunks // CHUNKS_A_DOCUMENT):
            path = home / "library" / f"report {number}.pdf"
            path.write_bytes(f"%PDF-1.7 stands for report {number}".encode())
            document = store.queue.add_file(path.name.encode(), identity_of(path.lstat()))
            sink = store.queue.open_revision(document, RevisionKey(f"{number:064}"))
            sink.begin(DocumentInfo(CHUNKS_A_DOCUMENT, f"Report {number}"))
            made = [Chunk(i, i + 1, i + 1, ("Part",), words(chance, length), ()) for i in range(CHUNKS_A_DOCUMENT)]
            texts = [embedded_text(one) for one in made]
            embedded = map(EmbeddedChunk, made, texts, embedder.embed_passages(texts))
            pages = tuple(Page(one.page, one.text, 595.0, 842.0, ()) for one in made)
            sink.commit(Batch(pages, tuple(embedded), CHUNKS_A_DOCUMENT, f"Report {number}"))
            sink.complete()
            if number % 20 == 19:
                print(f"filled {(number + 1) * CHUNKS_A_DOCUMENT} chunks", file=sys.stderr)


@dataclass
class Searches:
    """Latencies and failures of one phase, as the clients saw them."""

    seconds: list[float] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        milliseconds = [1000 * one for one in self.seconds]
        return (
            f"{len(milliseconds):6} questions, {len(self.failures)} failed, p50 {statistics.median(milliseconds):.0f} ms,"
            f" p95 {percentile(milliseconds, 95):.0f} ms, longest {max(milliseconds):.0f} ms"
        )


@contextmanager
def searching(socket: Path, clients: int, pause: float, seed: int) -> Iterator[Searches]:
    """Runs clients that search while the block runs, each pausing `pause` seconds after an answer."""
    searches, stop = Searches(), threading.Event()

    def ask(number: int) -> None:
        chance = random.Random(seed + number)
        with Client(socket) as client:
            while not stop.is_set():
                begun = time.perf_counter()
                try:
                    found = client.search(words(chance, 6), k=5)
                    if not found.results:
                        searches.failures.append("nothing was found")
                except Exception as error:  # noqa: BLE001 - counted and printed
                    searches.failures.append(str(error))
                searches.seconds.append(time.perf_counter() - begun)
                stop.wait(pause)

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(clients)]
    for thread in threads:
        thread.start()
    try:
        yield searches
    finally:
        stop.set()
        for thread in threads:
            thread.join()


def wait(service: Service, until: Callable[[], bool], each: Callable[[], None] = lambda: None) -> float:
    """Waits for the condition; returns the seconds it took. Exits if the service ends."""
    begun = time.perf_counter()
    while not until():
        if service.process.poll() is not None:
            sys.exit("docent serve ended")
        each()
        time.sleep(0.25)
    return time.perf_counter() - begun


def disturb(library: Path) -> None:
    """Adds, renames and deletes files while the vectors are rebuilt."""
    for sample in SAMPLES.glob("*.pdf"):
        shutil.copy(sample, library / sample.name)
    for number in range(5):
        (library / f"report {number}.pdf").rename(library / f"renamed {number}.pdf")
        (library / f"report {number + 10}.pdf").unlink()


def examine(home: Path, model: Path) -> None:
    """Checks that everything in the store belongs to the new model; prints how many sampled vectors differ."""
    with Embedder.open(model) as embedder, Store.open(home / "docent.db") as store:
        standing = store.embedding()
        assert standing.serving
        assert (standing.serving.identity, standing.target) == (embedder.identity, None)
        found = store.check()
        with store.snapshot() as snapshot:
            chunks = [number for number, _ in snapshot.match("part", limit=50)]
            numbers, matrix = snapshot.vectors(chunks)
            rows = {row.chunk: row for row in snapshot.passages(numbers)}
        differing = sum(
            not np.allclose(vector, embedder.embed_passage(_text(rows[number].heading, rows[number].text)), atol=1e-3)
            for number, vector in zip(numbers, matrix, strict=True)
        )
        print(f"store: {store.chunk_count()} chunks, {found or 'sound'}; {differing} of {len(numbers)} vectors differ")


def _text(heading: tuple[str, ...], text: str) -> str:
    return embedded_text(Chunk(0, 1, 1, heading, text, ()))


def main() -> None:
    parser = argparse.ArgumentParser(description="Searches while the embedding model is switched.")
    parser.add_argument("--chunks", type=int, default=20_000)
    parser.add_argument("--words", type=int, default=60)
    parser.add_argument("--clients", type=int, default=2)
    parser.add_argument("--pause", type=float, default=1.0)
    parser.add_argument("--seed", type=int, default=4)
    parser.add_argument("--idle-seconds", type=float, default=20)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="docent-switch-", dir="/tmp") as folder:
        home = Path(folder)
        with Embedder.open(BUILTIN) as embedder:
            fill(home, embedder, options.chunks, options.words, options.seed)
        model = variant(home / "other-model")
        run(home, model, options)
        examine(home, model)


def run(home: Path, model: Path, options: argparse.Namespace) -> None:
    with served(home) as service:
        memory, peak = psutil.Process(service.process.pid), 0

        def embedding() -> dict[str, object]:
            found = service.client.status().embedding
            assert found
            return found.model_dump()

        def watch() -> None:
            nonlocal peak
            peak = max(peak, memory.memory_info().rss)

        with searching(home / "docent.sock", options.clients, options.pause, options.seed) as before:
            time.sleep(options.idle_seconds)
        begun = memory.memory_info().rss
        (home / "docent.toml").write_text(f'[embedding]\nmodel = "{model}"\n')
        with searching(home / "docent.sock", options.clients, options.pause, options.seed + 100) as during:
            os.kill(service.process.pid, signal.SIGHUP)
            wait(service, lambda: embedding()["target"] == "other")
            disturb(home / "library")
            seconds = wait(service, lambda: embedding()["model"] == "other", watch)
        wait(service, lambda: service.client.status().queue == 0)
        with searching(home / "docent.sock", options.clients, options.pause, options.seed + 200) as after:
            time.sleep(options.idle_seconds)
        ended = memory.memory_info().rss
    print(
        f"{options.chunks} chunks of {options.words} words, {options.clients} clients, pauses of {options.pause:g} s; "
        f"switched after {seconds:.0f} s"
    )
    for name, searches in (("before", before), ("during", during), ("after", after)):
        print(f"{name:7}{searches}")
        for failure in sorted(set(searches.failures))[:5]:
            print(f"       {failure}")
    print(f"RSS in MiB: before {begun >> 20}, peak {peak >> 20}, after {ended >> 20}")


if __name__ == "__main__":
    main()
