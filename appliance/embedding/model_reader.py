"""Reading files for the embedding model that answers when each is opened.

The model stays open as long as the file is read, and the reading says which one it is: a store that wants another one's
vectors by then takes nothing of it.
"""

import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Protocol

from appliance.embedding.loaded_models import EmbeddingModels, Model
from appliance.embedding.question_priority import Hold, QuestionsFirst
from ingest.types import FileIdentity, Sink, Vector


class BackgroundEmbedder:
    """`ingest`'s Embedder over a model: it waits for its turn before each text, and between two looks at the tokens,
    which is where the making of chunks can be held up: it shares the interpreter with the questions."""

    def __init__(self, model: Model, gate: QuestionsFirst, hold: Hold) -> None:
        self._model = model
        self._gate = gate
        self._hold = hold

    @property
    def max_tokens(self) -> int:
        """Longest input in tokens, special tokens not counted."""
        return self._model.max_tokens

    def embed_passages(self, texts: Iterable[str]) -> Iterator[Vector]:
        """Vectors in the order of `texts`."""
        return self._model.embed_passages(texts, self)

    @contextmanager
    def passage(self) -> Iterator[None]:
        """One text's turn."""
        self._hold.wait()
        with self._gate.passage():
            yield

    def token_offsets(self, text: str) -> list[tuple[int, int]]:
        """Character offsets of each token."""
        self._gate.pause()
        return self._model.token_offsets(text)


class File(Protocol):
    """One opened file."""

    @property
    def identity(self) -> FileIdentity: ...
    def sha256(self) -> str: ...
    def run(self, sink: Sink) -> None: ...
    def close(self) -> None: ...


class Files(Protocol):
    """Opens files below one folder; `ingest.reader`."""

    def open(self, path: bytes, stop: threading.Event) -> File: ...


MakeReader = Callable[[BackgroundEmbedder], tuple[Files, str]]
"""What reads with an embedding model, and the lengths of the chunks that it then makes."""


class ModelReader:
    """Opens files for the model of the moment; may be used from any thread."""

    def __init__(self, models: EmbeddingModels, gate: QuestionsFirst, hold: Hold, make: MakeReader) -> None:
        self._models = models
        self._gate = gate
        self._hold = hold
        self._make = make

    def open(self, path: bytes, stop: threading.Event) -> "ModelReading":
        """Open a file, relative to the library; raises the errors of `ingest.errors`."""
        with ExitStack() as held:
            model = held.enter_context(self._models.lease())
            reader, lengths = self._make(BackgroundEmbedder(model, self._gate, self._hold))
            file = reader.open(path, stop)
            return ModelReading(file, model.identity, f"{model.tokenizer_id}:{lengths}", held.pop_all())


class ModelReading:
    """One opened file, with the model kept open for it; close it."""

    def __init__(self, file: File, embedder: str, chunking: str, held: ExitStack) -> None:
        self._file = file
        self._held = held
        self.embedder = embedder
        self.chunking = chunking

    @property
    def identity(self) -> FileIdentity:
        """The file's, when it was opened."""
        return self._file.identity

    def sha256(self) -> str:
        """Hash of its content."""
        return self._file.sha256()

    def run(self, sink: Sink) -> None:
        """Bring it into the sink, resuming after the sink's progress."""
        self._file.run(sink)

    def close(self) -> None:
        """Give the file and the model back."""
        with self._held:
            self._file.close()
