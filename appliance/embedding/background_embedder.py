"""Embeds for the readers of documents, behind the questions."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from appliance.embedding.loaded_models import Model
from appliance.embedding.question_priority import Hold, QuestionsFirst
from ingest.types import Vector


class BackgroundEmbedder:
    """`ingest.reader`'s embedder over a leased model.

    Waits for its turn before each text it embeds, and before each text it splits into tokens: chunking shares the
    interpreter with the questions, and that is where it can be held up.
    """

    def __init__(self, model: Model, gate: QuestionsFirst, hold: Hold) -> None:
        self._model = model
        self._gate = gate
        self._hold = hold

    @property
    def identity(self) -> str:
        return self._model.identity

    @property
    def tokenizer_id(self) -> str:
        return self._model.tokenizer_id

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
