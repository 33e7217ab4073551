"""An embedding model that stays: what lends models in the service, for tests that never change theirs."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from models.embedding.embedder import Embedder


@dataclass(frozen=True)
class OneModel:
    """Lends the same model whatever is asked for."""

    embedder: Embedder

    @contextmanager
    def lease(self, identity: str | None = None) -> Iterator[Embedder]:
        assert identity in (None, self.embedder.identity)
        yield self.embedder
