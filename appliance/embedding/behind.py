"""An embedding model as the reading of documents uses it: behind the questions."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from appliance.embedding.gate import Hold, QuestionsFirst
from appliance.embedding.models import Model
from ingest.types import Vector


class Behind:
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
