"""Reads one opened file into one sink: joins `parsing.opened_file`, `parsing.extraction` and `pipeline`.

The hash is known before a parser starts, so a file whose content has been read before costs no process.
"""

from dataclasses import dataclass
from threading import Event
from typing import Protocol

from ingest import pipeline
from ingest.chunking.chunker import ChunkLimits
from ingest.ocr.recogniser import Ocr
from ingest.parsing.extraction import open_extraction
from ingest.parsing.opened_file import OpenedFile
from ingest.sandbox.limits import Limits
from ingest.types import Embedder, FileIdentity, Sink


class IdentifiedEmbedder(Embedder, Protocol):
    """An embedding model that says which one it is."""

    @property
    def identity(self) -> str:
        """Differs between any two models that give a text different vectors."""

    @property
    def tokenizer_id(self) -> str:
        """Differs between any two models that split a text into different tokens."""


@dataclass(frozen=True, slots=True)
class ReadingOptions:
    """How files are read; `chunk_tokens` is the length that chunks aim at, at most the model's longest input."""

    limits: Limits
    chunk_tokens: int
    batch_chunks: int
    ocr: Ocr | None = None


class DocumentReading:
    """One opened file, read with one embedding model. The file stays the caller's to close."""

    def __init__(self, file: OpenedFile, embedder: IdentifiedEmbedder, options: ReadingOptions, stop: Event) -> None:
        """Setting `stop` ends `sha256` and `read_into` with `Stopped`."""
        self._file = file
        self._embedder = embedder
        self._options = options
        self._stop = stop
        longest = embedder.max_tokens
        self._chunks = ChunkLimits(min(options.chunk_tokens, longest), longest)

    @property
    def identity(self) -> FileIdentity:
        """The file's identity when it was opened."""
        return self._file.identity

    @property
    def embedder_identity(self) -> str:
        """Which embedding model makes the vectors."""
        return self._embedder.identity

    @property
    def chunking(self) -> str:
        """What the chunks depend on besides the content; see `RevisionKey`."""
        return f"{self._embedder.tokenizer_id}:{self._chunks.target_tokens}:{self._chunks.max_tokens}"

    def sha256(self) -> str:
        """Hash of the content; raises Unreadable, FileChanged, Stopped."""
        return self._file.sha256(self._stop)

    def read_into(self, sink: Sink) -> None:
        """Extract, chunk, embed and commit, resuming after the sink's progress; the revision is complete on return.

        Raises as `pipeline.run` and `open_extraction` do.
        """
        with open_extraction(self._file, self._options.limits, stop=self._stop, ocr=self._options.ocr) as extraction:
            pipeline.run(
                extraction,
                embedder=self._embedder,
                sink=sink,
                limits=self._chunks,
                batch_chunks=self._options.batch_chunks,
                stop=self._stop,
            )
