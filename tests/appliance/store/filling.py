"""Fills stores with small made-up documents whose vectors depend on their words, as in real life."""

import hashlib
from collections.abc import Callable, Sequence

import numpy as np

from appliance.store import EmbedderKey, Store
from ingest.types import (
    Batch,
    Chunk,
    ChunkWord,
    DocumentInfo,
    EmbeddedChunk,
    FileIdentity,
    Page,
    RevisionKey,
    Sink,
    Vector,
)

Embed = Callable[[str], Vector]
DIMENSIONS = 20
EMBEDDER = EmbedderKey("test-embedder-1", "test", DIMENSIONS)


def embed(text: str) -> Vector:
    """A vector that depends on the text alone; texts that share words are near each other."""
    total = np.zeros(DIMENSIONS, np.float32)
    for word in text.lower().split():
        seed = int.from_bytes(hashlib.sha256(word.encode("utf-8", "replace")).digest()[:8], "little")
        total += np.random.default_rng(seed).standard_normal(DIMENSIONS).astype(np.float32)
    return total / max(float(np.linalg.norm(total)), 1e-6)


def identity(number: int = 1) -> FileIdentity:
    """The identity of some file."""
    return FileIdentity(device=1, inode=number, size=1000 + number, mtime_ns=10**18 + number, ctime_ns=10**18)


def key(content: str) -> RevisionKey:
    """The key of a file with this content."""
    return RevisionKey(hashlib.sha256(content.encode()).hexdigest())


def chunk(ordinal: int, page: int, text: str, heading: tuple[str, ...] = (), embed: Embed = embed) -> EmbeddedChunk:
    """A chunk at the start of its page's text, with all its words mapped."""
    words, at = [], 0
    for word in text.split():
        start = text.index(word, at)
        at = start + len(word)
        words.append(ChunkWord(start, at, page, start, at, (72.0 + start, 100.5, 72.0 + at, 112.25)))
    made = Chunk(ordinal, page, page, heading, text, tuple(words))
    return EmbeddedChunk(made, text, embed(text))


def batches(texts: Sequence[str], title: str, first: int = 0, size: int = 2, embed: Embed = embed) -> list[Batch]:
    """One page and one chunk for each text, `size` in a batch, from the chunk number `first` on."""
    made = []
    for start in range(first, len(texts), size):
        part = list(enumerate(texts))[start : start + size]
        pages = tuple(Page(i + 1, text, 595.0, 842.0, (), label=str(i + 1)) for i, text in part)
        chunks = tuple(chunk(i, i + 1, text, ("Part", f"Section {i}"), embed) for i, text in part)
        made.append(Batch(pages, chunks, part[-1][0] + 1, title))
    return made


def fill(sink: Sink, texts: Sequence[str], title: str = "A title", size: int = 2, embed: Embed = embed) -> None:
    """Write all batches, as the pipeline does, continuing from the sink's progress. Does not complete the revision."""
    done = sink.progress().chunks_done
    sink.begin(DocumentInfo(len(texts), title))
    for batch in batches(texts, title, done, size, embed):
        sink.commit(batch)


def add(
    store: Store, path: bytes, texts: Sequence[str], title: str = "A title", number: int = 1, embed: Embed = embed
) -> str:
    """Queue, read and complete a document; returns its id."""
    document = store.queue.add_file(path, identity(number))
    sink = store.queue.open_revision(document, key("\n".join(texts)))
    fill(sink, texts, title, embed=embed)
    sink.complete()
    return document


def texts_of(store: Store, query: str) -> list[str]:
    """The passages whose text matches a query, sorted."""
    with store.snapshot() as snapshot:
        found = [number for number, _ in snapshot.match(f"text : ({query})", limit=1000)]
        return sorted(passage.text for passage in snapshot.passages(found))
