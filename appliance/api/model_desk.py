"""Presents the catalogue, the manager, the providers and the embedding model to the API as one.

Names: a GGUF model's id, `MODEL:ADAPTER`, a provider's, and the embedding model's own. Unknown names are refused.
"""

import asyncio
import time
from collections import Counter
from collections.abc import AsyncGenerator, Collection, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, Protocol

from appliance import wire
from appliance.api.views.memory import memory_view
from appliance.api.views.models import damaged_view, embedding_view, model_view, provider_view, usage_view
from appliance.embedding.loaded_models import Embedder
from appliance.errors import InvalidRequest
from ingest.types import Vector
from models.errors import UnknownModel
from models.types import AdapterRef, FinalPiece, GenerationRequest, TextPiece, TokenLogprob

if TYPE_CHECKING:
    from models.providers.registry import Providers
    from models.residency.manager import Manager

_EMBEDDING = "embedding"
_DOING = {"load": "loading", "unload": "unloading", "pin": "pinning", "unpin": "unpinning"}


class Embedders(Protocol):
    """The embedding models in memory, and the one that answers queries."""

    @property
    def current(self) -> Embedder: ...
    def all(self) -> Sequence[Embedder]: ...
    def lease(self) -> AbstractContextManager[Embedder]: ...


@dataclass(frozen=True, slots=True)
class Generated:
    """A piece of generated text; the last one has the finish reason, usage and timings in seconds."""

    text: str
    logprobs: tuple[TokenLogprob, ...] = ()
    finish_reason: Literal["stop", "length"] | None = None
    usage: wire.Usage = field(default_factory=wire.Usage)
    timings: dict[str, float] = field(default_factory=dict)
    dropped: int = 0
    """Messages of the chat that were dropped because they did not fit."""


class EmbeddingJob:
    """The embedding model for one request. Its methods block and may be called from any thread."""

    def __init__(self, embedder: Embedder) -> None:
        self._embedder = embedder
        self.model = embedder.name

    def count_tokens(self, texts: Sequence[str]) -> int:
        """The number of tokens of all texts together.

        Raises:
            InvalidRequest: a text is empty or longer than the embedding model's input.
        """
        return sum(self._checked_length(i, text) for i, text in enumerate(texts))

    def embed(self, texts: Sequence[str]) -> list[Vector]:
        """Embed texts that `count_tokens` accepted; vectors of shape (dimensions,)."""
        return [self._embedder.embed_passage(text) for text in texts]

    def _checked_length(self, index: int, text: str) -> int:
        what = f"embedding input {index} with {self.model}"
        if not text.strip():
            raise InvalidRequest(what, "the text is empty", "leave it out")
        count = self._embedder.count_tokens(text)
        if count > self._embedder.max_tokens:
            why = f"it has {count} tokens, and the model takes {self._embedder.max_tokens}"
            raise InvalidRequest(what, why, "send it in shorter pieces")
        return count


class ModelDesk:
    """The models as the routes see them. Belongs to the event loop's thread, except where a method says otherwise."""

    def __init__(self, manager: "Manager", providers: "Providers", embedders: Embedders) -> None:
        self.manager = manager
        self._providers = providers
        self._embedders = embedders
        self._reserved: set[str] = set()
        self.count_embedders()

    def count_embedders(self) -> None:
        """Reserve memory of the budget for the embedding models; call it when the models in memory have changed."""
        sizes: Counter[str] = Counter()
        for embedder in self._embedders.all():
            sizes[embedder.name] += embedder.size
        for gone in self._reserved - sizes.keys():
            self.manager.release(gone)
        for name, size in sizes.items():
            self.manager.reserve(name, size, "it makes embeddings, not text", kind=_EMBEDDING)
        self._reserved = set(sizes)

    @property
    def _embedder(self) -> Embedder:
        return self._embedders.current

    async def installed(self) -> list[wire.Model]:
        """Every model after a rescan of the folder: the embedding model, usable and damaged ones, and providers."""
        await asyncio.to_thread(self.manager.catalog.rescan)
        usable = (model_view(state) for state in self.manager.states())
        damaged = map(damaged_view, self.manager.catalog.damaged())
        return [embedding_view(self._embedder), *usable, *damaged, *map(provider_view, self._providers.list())]

    def loaded(self) -> list[str]:
        """The ids of the models in memory, the embedding model first. May be called from any thread."""
        states = self.manager.states()
        return [self._embedder.name, *(state.spec.id for state in states if state.state == "loaded")]

    async def rescan(self) -> None:
        """Rescan the folders of models and adapters."""
        await self.manager.rescan()

    async def act(self, model_id: str, action: Literal["load", "unload", "pin", "unpin"]) -> wire.Model:
        """Load, unload, pin or unpin a model and return its new state.

        Raises:
            UnknownModel: no GGUF model has this id.
            InvalidRequest: the id is the embedding model's or a provider's.
            ModelLoadFailed, ModelTooLarge, ModelInUse, ModelBusy: from the manager.
        """
        if model_id == self._embedder.name:
            why = "it is the embedding model, which is always loaded"
            hint = "nothing to do" if action in ("load", "pin") else "only GGUF models are loaded and unloaded"
            raise InvalidRequest(f"{_DOING[action]} {model_id}", why, hint)
        if model_id in {state.spec.id for state in self._providers.list() if state.answers}:
            place = self._providers.get(model_id).spec.place
            why = f"it is a provider: the server at {place} loads and unloads its own models"
            raise InvalidRequest(f"{_DOING[action]} {model_id}", why, "only GGUF models are loaded and unloaded")
        match action:
            case "load":
                state = await self.manager.load(model_id)
            case "unload":
                state = await self.manager.unload(model_id)
            case "pin":
                state = await self.manager.pin(model_id)
            case "unpin":
                state = await self.manager.unpin(model_id)
        return model_view(state)

    def memory(self) -> wire.Memory:
        """The memory budget and its holders, the embedding model first."""
        return memory_view(self.manager.report())

    async def openai_ids(self) -> list[str]:
        """The names that `model` accepts in OpenAI's routes."""
        models = [state.spec.id for state in self.manager.states()]
        models += [state.spec.id for state in self._providers.list() if state.answers]
        return ["docent", "extractive", *models, *(f"docent:{model}" for model in models), self._embedder.name]

    async def generate(
        self,
        model_id: str,
        adapters: Sequence[wire.AdapterUse],
        request: GenerationRequest,
        left_open: Collection[str] = (),
    ) -> AsyncGenerator[Generated, None]:
        """Text from the bare model; the last piece has the finish reason. Closing the generator cancels the generation.

        The model's configured sampling fills the fields that `left_open` names: those the client did not set.

        Raises:
            UnknownModel, UnknownAdapter: an unknown name is never replaced by another.
            ModelError: from the manager.
        """
        if model_id == self._embedder.name:
            raise UnknownModel(
                f"model {model_id!r}", "it makes embeddings, not text", "`docent models list` shows both"
            )
        started, first = time.monotonic(), 0.0
        uses = [AdapterRef(adapter.id, adapter.scale) for adapter in adapters]
        sampling = self.manager.defaults.sampling(model_id, request.sampling, left_open)
        async with self._providers.lease(model_id, uses) as lease:
            generation = lease.generate(request.model_copy(update={"sampling": sampling}))
            async with generation:
                async for piece in generation:
                    first = first or time.monotonic() - started
                    match piece:
                        case TextPiece():
                            yield Generated(piece.text, piece.logprobs)
                        case FinalPiece():
                            total = time.monotonic() - started
                            timings = {"first_token": first, "total": total}
                            timings |= {"prefill": piece.prefill_s, "decode": piece.decode_s}
                            yield Generated(
                                "",
                                finish_reason=piece.finish_reason,
                                usage=usage_view(piece.usage),
                                timings=timings,
                                dropped=piece.dropped,
                            )

    @contextmanager
    def embedding(self, wanted: str | None, dimensions: int | None) -> Iterator["EmbeddingJob"]:
        """Lease the embedding model for one request. `wanted` and `dimensions`, if given, must be its own.

        Raises:
            UnknownModel: `wanted` is another model.
            InvalidRequest: it has other dimensions.
        """
        with self._embedders.lease() as embedder:
            name = embedder.name
            if wanted not in (None, name):
                raise UnknownModel(
                    f"model {wanted!r}", "no installed embedding model has this id", f"installed: {name}"
                )
            if dimensions not in (None, embedder.dimensions):
                why = f"it has {embedder.dimensions} dimensions, not {dimensions}"
                raise InvalidRequest(f"embedding with {name}", why, "leave `dimensions` out")
            yield EmbeddingJob(embedder)
