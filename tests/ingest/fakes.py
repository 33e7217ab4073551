"""An embedder without a model and a sink without a store, for the two ends of the pipeline."""

import hashlib
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from threading import Event

import numpy as np

from ingest.types import Batch, DocumentInfo, Page, Progress, Vector

_TOKEN = re.compile(r"\d{1,3}|[A-Za-z]{1,7}|[^\sA-Za-z0-9]")


def token_offsets(text: str) -> list[tuple[int, int]]:
    """Tokenizes into pieces of words, about as many as a real tokenizer gives."""
    return [match.span() for match in _TOKEN.finditer(text)]


class FakeEmbedder:
    """Makes vectors from the text's hash, and records the texts it was given."""

    max_tokens = 254

    def __init__(self) -> None:
        self.embedded: list[str] = []

    def token_offsets(self, text: str) -> list[tuple[int, int]]:
        return token_offsets(text)

    def embed_passages(self, texts: Iterable[str]) -> Iterator[Vector]:
        for text in texts:
            self.embedded.append(text)
            digest = hashlib.sha256(text.encode()).digest()
            yield np.frombuffer(digest, dtype=np.uint8).astype(np.float32) / 255


@dataclass
class FakeSink:
    """Keeps batches. `known` are the vectors already stored, `fail_at` is the commit that fails."""

    batches: list[Batch] = field(default_factory=list)
    known: dict[str, Vector] = field(default_factory=dict)
    info: DocumentInfo | None = None
    completed: bool = False
    fail_at: int = -1
    announced: Event = field(default_factory=Event)
    recognised: int = 0

    def progress(self) -> Progress:
        chunks = sum(len(batch.chunks) for batch in self.batches)
        return Progress(self.batches[-1].pages_done if self.batches else 0, chunks)

    def holds(self, page: Page) -> bool:
        return any((one.number, one.source, one.text) == (page.number, page.source, page.text) for one in self.pages)

    def known_vectors(self, texts: Iterable[str]) -> dict[str, Vector]:
        return {text: self.known[text] for text in texts if text in self.known}

    def begin(self, info: DocumentInfo) -> None:
        self.info = info

    def announce(self, recognised: int) -> None:
        self.recognised = recognised
        self.announced.set()

    def commit(self, batch: Batch) -> None:
        if len(self.batches) == self.fail_at:
            raise OSError("the disk is full")
        self.batches.append(batch)

    def complete(self) -> None:
        self.completed = True

    @property
    def pages(self) -> list[Page]:
        return [page for batch in self.batches for page in batch.pages]

    @property
    def texts(self) -> list[str]:
        return [chunk.chunk.text for batch in self.batches for chunk in batch.chunks]
