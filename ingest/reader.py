"""One file of the library, read into one sink: the ways of `identity`, `sandbox` and `pipeline` joined.

The hash is known before a parser is started, so that a file whose content was read already costs no process.
"""

from threading import Event

from ingest import pipeline
from ingest.chunking.chunker import ChunkLimits
from ingest.ocr.recogniser import Ocr
from ingest.parsing.extraction import open_extraction
from ingest.parsing.opened_file import OpenedFile, open_file
from ingest.sandbox.limits import Limits
from ingest.types import Embedder, FileIdentity, Sink


class DocumentReader:
    """Opens files below one folder for reading."""

    def __init__(
        self,
        root: bytes,
        embedder: Embedder,
        limits: Limits,
        chunks: ChunkLimits,
        batch_chunks: int,
        ocr: Ocr | None = None,
    ) -> None:
        self._root = root
        self._embedder = embedder
        self._limits = limits
        self._chunks = chunks
        self._batch_chunks = batch_chunks
        self._ocr = ocr

    def open(self, path: bytes, stop: Event) -> "Reading":
        """Open `path`, relative to the folder; raises Unreadable, UnsupportedType."""
        return Reading(self, open_file(path, beneath=self._root), stop)

    def read(self, file: OpenedFile, sink: Sink, stop: Event) -> None:
        """Bring the file into the sink; raises as `pipeline.run` and `open_extraction` do."""
        with open_extraction(file, self._limits, stop=stop, ocr=self._ocr) as extraction:
            pipeline.run(
                extraction,
                embedder=self._embedder,
                sink=sink,
                limits=self._chunks,
                batch_chunks=self._batch_chunks,
                stop=stop,
            )


class Reading:
    """One opened file; close it."""

    def __init__(self, reader: DocumentReader, file: OpenedFile, stop: Event) -> None:
        self._reader = reader
        self._file = file
        self._stop = stop

    @property
    def identity(self) -> FileIdentity:
        """The file's, when it was opened."""
        return self._file.identity

    def sha256(self) -> str:
        """Hash of its content; raises Unreadable, FileChanged, Stopped."""
        return self._file.sha256(self._stop)

    def run(self, sink: Sink) -> None:
        """Bring it into the sink, resuming after the sink's progress."""
        self._reader.read(self._file, sink, self._stop)

    def close(self) -> None:
        """Give the descriptor back."""
        self._file.close()
