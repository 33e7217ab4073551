"""Turns a question into the events of its answer: passages, tokens, perhaps an error, and the whole answer last.

Rule: what was streamed is the answer. If a model fails before its first token, the next of `answer.fallback` and at
last the extractive answer replace it, and the answer says so (`fallback`). If it fails later, the answer ends with an
`error` event. A wrong request (an unknown model, an adapter that does not fit) never falls back.
"""

from collections.abc import AsyncGenerator, Callable, Collection, Sequence
from contextlib import AbstractContextManager, aclosing
from dataclasses import dataclass, field
from functools import partial
from time import perf_counter
from typing import Protocol, TypeVar

import anyio.to_thread

from appliance import wire
from appliance.answering import extractive, generated, routing
from appliance.answering.citations import Pages, Passages, cite
from appliance.answering.markers import claims
from appliance.answering.passage_view import passage_view
from appliance.answering.routing import EXTRACTIVE, Route
from appliance.answering.support import PassageEmbedder
from appliance.config.settings import Settings
from appliance.errors import outcome
from appliance.retrieval.search import Found
from models.errors import InvalidModelFile, ModelError, NotSupported, UnknownAdapter, UnknownModel
from models.types import AdapterRef, Sampling

T = TypeVar("T")
Collections = Collection[bytes] | None
_WRONG_REQUEST = (InvalidModelFile, NotSupported, UnknownAdapter, UnknownModel)
_PER_PAGE = 2
"""Most passages of one page: the second best often holds the table that the best one introduces. Of 76 questions, the
eight passages held all the facts for 68 with one per page, 71 with two, 72 with three or four."""


class Searcher(Protocol):
    """The part of the retriever that is used here."""

    def search(self, query: str, *, k: int, collections: Collections = None, per_page: int = 1) -> Found: ...


class Embedders(Protocol):
    """Leases the embedding model in use; texts to be compared need the same lease."""

    def lease(self) -> AbstractContextManager[PassageEmbedder]: ...


class ModelLeases(generated.Leases, Protocol):
    """The part of the registry of models and providers that is used here."""

    @property
    def catalog(self) -> routing.Installed: ...

    @property
    def adapters(self) -> routing.Installed: ...

    def check(self, model_id: str, adapters: Sequence[AdapterRef]) -> None:
        """Raise NotSupported if adapters are named for a model that takes none."""


@dataclass(slots=True)
class _Draft:
    """An answer while it is generated."""

    request: wire.AskRequest
    route: Route
    found: Found
    started: float
    scope: str
    text: str = ""
    citations: list[wire.Citation] = field(default_factory=list)
    fallback: wire.Fallback | None = None
    finish_reason: wire.FinishReason = "stop"
    error: wire.ErrorBody | None = None
    usage: wire.Usage = field(default_factory=wire.Usage)
    timings: dict[str, float] = field(default_factory=dict)

    def add(self, text: str) -> wire.TokenEvent:
        """Append a piece of text and return its event."""
        if not self.text:
            self.timings["first_token"] = perf_counter() - self.started
        self.text += text
        return wire.TokenEvent(text=text)

    def fall_back(self, route: Route, failures: Sequence[tuple[str, str]]) -> None:
        """Switch to `route`; `failures` are model and reason of each that failed, the requested one first."""
        self.route = route
        (requested, why), *others = failures
        reason = "; ".join([why, *(f"then {name}: {because}" for name, because in others)])
        self.fallback = wire.Fallback.model_validate({"from": requested, "reason": reason})

    def fail(self, error: ModelError) -> wire.ErrorEvent:
        """End the answer with an error and return its event."""
        self.finish_reason, self.error = "error", _body(error)
        return wire.ErrorEvent(error=self.error)

    def done(self) -> wire.DoneEvent:
        """Build the last event."""
        self.timings["total"] = perf_counter() - self.started
        return wire.DoneEvent(
            question=self.request.question,
            answer=self.text,
            citations=self.citations,
            model=self.route.model,
            adapters=[wire.AdapterUse(id=one.id, scale=one.scale) for one in self.route.adapters],
            fallback=self.fallback,
            finish_reason=self.finish_reason,
            error=self.error,
            usage=self.usage,
            timings={name: round(seconds, 6) for name, seconds in self.timings.items()},
        )


class Answerer:
    """Answers questions, any number at the same time, on the event loop; blocking parts run in threads."""

    def __init__(
        self,
        retriever: Searcher,
        store: Pages,
        embedders: Embedders,
        manager: ModelLeases | None,
        settings: Settings,
    ) -> None:
        self._retriever = retriever
        self._store = store
        self._embedders = embedders
        self._manager = manager
        self._settings = settings

    async def events(
        self, request: wire.AskRequest, collections: Collections = None, scope: str = ""
    ) -> AsyncGenerator[wire.AskEvent, None]:
        """Stream the answer's events; closing the generator cancels the model's generation.

        A model does not reuse cached prompts of another `scope`.

        Raises, before the first event only:
            UnknownModel, UnknownAdapter, InvalidRequest: see `routing.choose`; and what the search raises.
        """
        started = perf_counter()
        route = self._route(request)
        k = self._settings.answer.passages
        found = await _blocking(
            self._retriever.search, request.question, k=k, collections=collections, per_page=_PER_PAGE
        )
        draft = _Draft(request, route, found, started, scope)
        draft.timings = {name: seconds for name, seconds in found.timings.items() if name != "total"}
        draft.timings["retrieve"] = perf_counter() - started
        yield wire.PassagesEvent(passages=[passage_view(hit.passage, hit.score) for hit in found.hits])
        if not found.hits:
            draft.route = Route(EXTRACTIVE, ())
            yield draft.add(extractive.NOT_FOUND)
        elif route.extractive:
            yield await self._extract(draft)
        else:
            async with aclosing(self._generate(draft)) as events:
                async for event in events:
                    yield event
        yield draft.done()

    def _route(self, request: wire.AskRequest) -> Route:
        default = self._settings.models.default
        if self._manager is None:
            return routing.choose(request, default, None, None)
        route = routing.choose(request, default, self._manager.catalog, self._manager.adapters)
        self._manager.check(route.model, route.adapters)
        return route

    async def _extract(self, draft: _Draft) -> wire.TokenEvent:
        scores = [hit.score for hit in draft.found.hits]
        request = extractive.ExtractRequest(draft.request.question, draft.found.sought, draft.found.sources)

        def extract() -> extractive.Extract:
            with self._embedders.lease() as embedder:
                return extractive.answer(request, self._passages(draft), scores, embedder)

        extracted = await _blocking(extract)
        draft.citations = extracted.citations
        return draft.add(extracted.text)

    async def _generate(self, draft: _Draft) -> AsyncGenerator[wire.AskEvent, None]:
        """Stream the answer of the first model that can begin one."""
        failures: list[tuple[str, str]] = []
        for route in routing.order(draft.route, self._settings.answer.fallback):
            if failures:
                draft.fall_back(route, failures)
            try:
                async with aclosing(self._stream(draft)) as events:
                    async for event in events:
                        yield event
            except ModelError as error:
                if not draft.text and (failures or not isinstance(error, _WRONG_REQUEST)):
                    failures.append((route.model, str(error)))
                    continue
                yield draft.fail(error)
            await self._verify(draft)
            return
        draft.fall_back(Route(EXTRACTIVE, ()), failures)
        yield await self._extract(draft)

    async def _stream(self, draft: _Draft) -> AsyncGenerator[wire.AskEvent, None]:
        assert self._manager is not None
        async with aclosing(generated.generate(self._job(draft), self._manager)) as pieces:
            async for piece in pieces:
                if isinstance(piece, str):
                    yield draft.add(piece)
                else:
                    draft.finish_reason, draft.usage = piece.finish_reason, piece.usage
                    draft.timings |= {"prefill": piece.prefill, "decode": piece.decode}

    async def _verify(self, draft: _Draft) -> None:
        begun = perf_counter()
        found = claims(draft.text)

        def check() -> list[wire.Citation]:
            with self._embedders.lease() as embedder:
                return cite(found, self._passages(draft), embedder)

        if found:
            draft.citations = await _blocking(check)
        draft.timings["verify"] = perf_counter() - begun

    def _job(self, draft: _Draft) -> generated.Job:
        return generated.Job(
            question=draft.request.question,
            rows=[hit.passage for hit in draft.found.hits],
            model=draft.route.model,
            adapters=draft.route.adapters,
            max_tokens=draft.request.max_tokens or self._settings.answer.max_tokens,
            sampling=self._sampling(draft.request),
            stop=tuple(draft.request.stop),
            scope=draft.scope,
        )

    def _sampling(self, request: wire.AskRequest) -> Sampling:
        configured = self._settings.answer.temperature
        return Sampling(
            temperature=configured if request.temperature is None else request.temperature,
            top_p=1.0 if request.top_p is None else request.top_p,
            seed=None if request.seed is None else request.seed % 2**32,
        )

    def _passages(self, draft: _Draft) -> Passages:
        return Passages([hit.passage for hit in draft.found.hits], self._store)


def _body(error: ModelError) -> wire.ErrorBody:
    seen = outcome(error)
    return wire.ErrorBody(message=str(error), type=seen.type, code=seen.code, hint=error.hint)


async def _blocking(function: Callable[..., T], /, *args: object, **kwargs: object) -> T:
    return await anyio.to_thread.run_sync(partial(function, *args, **kwargs))
