"""The opened embedding models, lent by identity, and the one that stands for all of them where no index is met.

A search takes its model by the identity that its snapshot of the store names, so that a question's vector meets only
vectors of the same model. A model that is not needed any more is closed when the last borrower gives it back.
"""

import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import Protocol

from appliance.store.store import ModelGone
from ingest.types import Vector


class Embedder(Protocol):
    """What the API asks of an embedding model."""

    @property
    def name(self) -> str: ...
    @property
    def identity(self) -> str: ...
    @property
    def size(self) -> int: ...
    @property
    def licence(self) -> str: ...
    @property
    def dimensions(self) -> int: ...
    @property
    def max_tokens(self) -> int: ...
    def embed_passage(self, text: str) -> Vector: ...
    def count_tokens(self, text: str) -> int: ...


class Model(Embedder, Protocol):
    """What the appliance needs of an embedding model in all, to search and to read documents with it too."""

    @property
    def tokenizer_id(self) -> str: ...
    def embed_query(self, text: str) -> Vector: ...
    def embed_passages(self, texts: Iterable[str], turns: "Turns | None" = None) -> Iterator[Vector]: ...
    def token_offsets(self, text: str) -> list[tuple[int, int]]: ...
    def close(self) -> None: ...


class Turns(Protocol):
    """Whose turn it is to compute; see `gate.py`."""

    def passage(self) -> AbstractContextManager[None]: ...


@dataclass(slots=True)
class _Open:
    model: Model
    lent: int = 0
    wanted: bool = True


class EmbeddingModels:
    """May be used from any thread; a context manager that closes all models at its end."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._open: dict[str, _Open] = {}  # by identity, guarded by _lock
        self._current: Model | None = None
        self.on_close: Callable[[], None] = lambda: None
        """Called when a model has left memory."""

    def __enter__(self) -> "EmbeddingModels":
        return self

    def __exit__(self, *_: object) -> None:
        self.keep_only()

    @property
    def current(self) -> Model:
        """The model that answers, for its name and sizes; to use it, borrow it."""
        assert self._current is not None, "no model was appointed"
        return self._current

    def __contains__(self, identity: str) -> bool:
        with self._lock:
            return identity in self._open and self._open[identity].wanted

    def all(self) -> list[Model]:
        """Every model in memory."""
        with self._lock:
            return [entry.model for entry in self._open.values()]

    def add(self, model: Model) -> Model:
        """Take over an opened model; gives the one that was open already, if it is the same, and closes the new."""
        with self._lock:
            held = self._open.setdefault(model.identity, _Open(model))
            held.wanted = True
        if held.model is not model:
            model.close()
        return held.model

    def appoint(self, identity: str) -> None:
        """Let this model, which was added, be the current one."""
        with self._lock:
            self._current = self._open[identity].model

    def keep_only(self, *identities: str) -> None:
        """Close all other models, each as soon as nobody has it any more."""
        with self._lock:
            for identity, entry in self._open.items():
                entry.wanted = identity in identities
            idle = self._take_idle()
        self._close(idle)

    @contextmanager
    def lease(self, identity: str | None = None) -> Iterator[Model]:
        """Borrow the model of this identity, by default the current one.

        Raises:
            ModelGone: it is not open any more.
        """
        with self._lock:
            entry = self._open.get(identity or self.current.identity)
            if entry is None or not (entry.wanted or entry.lent):
                raise ModelGone
            entry.lent += 1
        try:
            yield entry.model
        finally:
            with self._lock:
                entry.lent -= 1
                idle = self._take_idle()
            self._close(idle)

    def embed_name(self, identity: str, text: str) -> Vector:
        """A document's name as a passage; raises ModelGone."""
        with self.lease(identity) as model:
            return model.embed_passage(text)

    def _close(self, models: list[Model]) -> None:
        for model in models:
            model.close()
        if models:
            self.on_close()

    def _take_idle(self) -> list[Model]:
        idle = [identity for identity, entry in self._open.items() if not (entry.wanted or entry.lent)]
        return [self._open.pop(identity).model for identity in idle]
