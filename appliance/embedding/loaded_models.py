"""Leases the loaded embedding models by identity, and names the current one.

A search leases its model by the identity that its snapshot of the store names, so a question's vector meets only vectors
of the same model. A model that is no longer needed is closed when its last lease ends.
"""

import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import Protocol

from appliance.store.store import ModelGone
from ingest.types import Vector


class Embedder(Protocol):
    """What the API needs of an embedding model."""

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
    """What searching and reading documents need of an embedding model besides."""

    @property
    def tokenizer_id(self) -> str: ...
    def embed_query(self, text: str) -> Vector: ...
    def embed_passages(self, texts: Iterable[str], turns: "Turns | None" = None) -> Iterator[Vector]: ...
    def token_offsets(self, text: str) -> list[tuple[int, int]]: ...
    def close(self) -> None: ...


class Turns(Protocol):
    """Gives each passage its turn to be embedded; see `question_priority`."""

    def passage(self) -> AbstractContextManager[None]: ...


@dataclass(slots=True)
class _Loaded:
    model: Model
    leases: int = 0
    needed: bool = True


class EmbeddingModels:
    """Thread-safe; a context manager that closes all models at its end."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._loaded: dict[str, _Loaded] = {}  # by identity, guarded by _lock
        self._current: Model | None = None
        self.on_close: Callable[[], None] = lambda: None
        """Called when a model has left memory."""

    def __enter__(self) -> "EmbeddingModels":
        return self

    def __exit__(self, *_: object) -> None:
        self.keep_only()

    @property
    def current(self) -> Model:
        """The model that answers, for its name and sizes; to compute with it, lease it."""
        assert self._current is not None, "no model was appointed"
        return self._current

    def __contains__(self, identity: str) -> bool:
        with self._lock:
            return identity in self._loaded and self._loaded[identity].needed

    def all(self) -> list[Model]:
        """Every model in memory."""
        with self._lock:
            return [entry.model for entry in self._loaded.values()]

    def add(self, model: Model) -> Model:
        """Take ownership of an opened model.

        If the same model is loaded already, closes the new one and returns the loaded one.
        """
        with self._lock:
            entry = self._loaded.setdefault(model.identity, _Loaded(model))
            entry.needed = True
        if entry.model is not model:
            model.close()
        return entry.model

    def appoint(self, identity: str) -> None:
        """Make this model, which must have been added, the current one."""
        with self._lock:
            self._current = self._loaded[identity].model

    def keep_only(self, *identities: str) -> None:
        """Close all other models, each when its last lease ends."""
        with self._lock:
            for identity, entry in self._loaded.items():
                entry.needed = identity in identities
            idle = self._take_idle()
        self._close(idle)

    @contextmanager
    def lease(self, identity: str | None = None) -> Iterator[Model]:
        """Keep the model of this identity, by default the current one, loaded for the time of the block.

        Raises:
            ModelGone: it is no longer loaded.
        """
        with self._lock:
            entry = self._loaded.get(identity or self.current.identity)
            if entry is None or not (entry.needed or entry.leases):
                raise ModelGone
            entry.leases += 1
        try:
            yield entry.model
        finally:
            with self._lock:
                entry.leases -= 1
                idle = self._take_idle()
            self._close(idle)

    def embed_name(self, identity: str, text: str) -> Vector:
        """Vector of a document's name, embedded as a passage; raises ModelGone."""
        with self.lease(identity) as model:
            return model.embed_passage(text)

    def _close(self, models: list[Model]) -> None:
        for model in models:
            model.close()
        if models:
            self.on_close()

    def _take_idle(self) -> list[Model]:
        idle = [identity for identity, entry in self._loaded.items() if not (entry.needed or entry.leases)]
        return [self._loaded.pop(identity).model for identity in idle]
