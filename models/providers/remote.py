"""A remote model as one leases a local one: deadlines, circuit breaker, bounds; whatever the upstream is.

Rule: one lease is one call for the breaker. Deadlines count from token to token, so what sends only signs of life is
still too slow; after the first token an answer ends or fails, and is never begun again.
"""

import asyncio
import contextlib
import logging
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from contextlib import aclosing
from types import TracebackType
from typing import Self

from models.errors import ContextOverflow, InvalidPrompt, ModelError, NotSupported, ProviderFailed, ProviderOpen
from models.providers.circuit_breaker import Breaker, Permit
from models.providers.interface import Delta, Job, ProviderSpec, Upstream
from models.providers.request_checks import schema_of
from models.providers.token_gauge import TokenGauge
from models.residency.lease import check_request
from models.types import ChatMessage, FinalPiece, GenerationRequest, Piece, TextPiece, Usage

_log = logging.getLogger(__name__)
_MAX_TEXT = 4 << 20
_BLAMELESS = (InvalidPrompt, ContextOverflow, NotSupported)
"""Errors that say nothing of how well the provider is."""


class Call:
    """One permit of the breaker, ended exactly once."""

    def __init__(self, provider: "Remote", permit: Permit) -> None:
        self._provider = provider
        self._permit: Permit | None = permit
        self.first_token_s: float | None = None
        self.began: float | None = None

    def succeeded(self) -> None:
        """It gave an answer, or had begun one when the caller left."""
        if permit := self._take():
            self._provider.breaker.succeeded(permit, self.first_token_s)

    def failed(self, error: ModelError) -> None:
        """It gave none."""
        if isinstance(error, _BLAMELESS):
            self.left()
        elif permit := self._take():
            self._provider.breaker.failed(permit, error.why)
            _log.warning("%s", error)

    def left(self) -> None:
        """The caller needs no more of it."""
        if self.first_token_s is not None:
            self.succeeded()
        elif permit := self._take():
            waited = self._provider.clock() - self.began if self.began is not None else 0.0
            self._provider.breaker.abandoned(permit, waited)

    def _take(self) -> Permit | None:
        permit, self._permit = self._permit, None
        return permit


class Remote:
    """One provider. Belongs to the event loop's thread, but for its breaker's state, which any may read."""

    def __init__(self, spec: ProviderSpec, upstream: Upstream, clock: Callable[[], float] = time.monotonic) -> None:
        self.spec = spec
        self.clock = clock
        self.breaker = Breaker(spec.breaker, clock)
        self.gauge = TokenGauge()
        self.upstream = upstream
        self._context: int | None = None

    @contextlib.asynccontextmanager
    async def lease(self) -> AsyncIterator["RemoteLease"]:
        """The provider, held for one call.

        Raises ProviderOpen where it is left alone for now, and ProviderFailed, ModelBusy as it answers.
        """
        permit = self.breaker.admit()
        if permit is None:
            what = f"answering with the provider {self.spec.id}"
            again = f"it is tried again {self.spec.breaker.open_s:g} s after it was found to fail"
            raise ProviderOpen(what, f"it is left alone for now: {self.breaker.reason}", again, self.breaker.retry_s)
        call = Call(self, permit)
        try:
            lease = RemoteLease(self, await self._known_context(), call)
            try:
                yield lease
            finally:
                await lease.aclose()
        except ModelError as error:
            call.failed(error)
            raise
        finally:
            call.left()

    async def aclose(self) -> None:
        """Close its connections."""
        await self.upstream.aclose()

    async def _known_context(self) -> int:
        if self._context is None:
            wait = self.spec.timeouts.first_token_s
            try:
                async with asyncio.timeout(wait):
                    self._context = await self.upstream.context()
            except TimeoutError:
                raise late(self.spec, f"it said nothing of its model within {wait:g} s") from None
        return self._context


class RemoteLease:
    """What one may do with a remote model. `context` is the most tokens of prompt and answer together."""

    def __init__(self, provider: Remote, context: int, call: Call) -> None:
        self._provider = provider
        self._call = call
        self._generations: list[RemoteGeneration] = []
        self.context = context

    @property
    def model_id(self) -> str:
        """The provider's name."""
        return self._provider.spec.id

    async def count_tokens(self, text: str) -> int:
        """Tokens of a text, estimated upwards: see `gauge`."""
        return self._provider.gauge.text(text)

    async def count_chat_tokens(self, messages: Sequence[ChatMessage]) -> int:
        """Tokens of a whole chat, estimated likewise."""
        return self._provider.gauge.messages(one.content for one in messages)

    def generate(self, request: GenerationRequest) -> "RemoteGeneration":
        """Begin an answer. Raises InvalidPrompt, and NotSupported for what only a local model can do.

        `speculate` and `scope` have no effect: the server decides for itself.
        """
        what = f"answering with the provider {self.model_id}"
        check_request(request, what)
        for name, asked in (
            ("a grammar", request.grammar is not None),
            ("logprobs", request.logprobs is not None),
            ("a bias on tokens", bool(request.sampling.logit_bias)),
        ):
            if asked:
                raise NotSupported(what, f"{name} cannot be asked of a provider", "ask a model on this machine")
        if request.overflow != "refuse":
            raise NotSupported(
                what, "a provider drops no turns of a chat", "send fewer, or ask a model on this machine"
            )
        schema = None if request.json_schema is None else schema_of(request.json_schema, what)
        job = Job(request.sampling, request.messages, request.prompt, request.max_tokens, request.stop, schema)
        generation = RemoteGeneration(self._provider, job, self.context, self._call)
        self._generations.append(generation)
        return generation

    async def aclose(self) -> None:
        """End what is still being generated."""
        for generation in self._generations:
            await generation.aclose()


class RemoteGeneration(AsyncIterator[Piece]):
    """One answer as it comes. Close it, or use it as an async context manager, to end the request."""

    def __init__(self, provider: Remote, job: Job, context: int, call: Call) -> None:
        self._pieces = _Answer(provider, job, context, call).pieces()

    async def __anext__(self) -> Piece:
        """Raises ProviderFailed, ModelBusy, ContextOverflow."""
        return await anext(self._pieces)

    async def aclose(self) -> None:
        """End the request."""
        await self._pieces.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None
    ) -> None:
        await self.aclose()


class _Answer:
    """What is known of an answer while it comes."""

    def __init__(self, provider: Remote, job: Job, context: int, call: Call) -> None:
        self._provider, self._job, self._context, self._call = provider, job, context, call
        self._spec = provider.spec
        self._length = self._steps = 0
        self._end: Delta | None = None
        self._usage: Usage | None = None

    async def pieces(self) -> AsyncGenerator[Piece, None]:
        """Text as it comes, then the end."""
        clock = self._provider.clock
        self._call.began = began = clock()
        try:
            async with aclosing(self._deltas()) as deltas:
                async for delta in deltas:
                    if delta.text:
                        if self._call.first_token_s is None:
                            self._call.first_token_s = clock() - began
                        yield TextPiece(self._counted(delta.text))
        except ModelError as error:
            self._call.failed(error)
            raise
        if self._end is None or self._end.finish is None:
            broken = late(self._spec, "it ended in the middle of its answer")
            self._call.failed(broken)
            raise broken
        self._call.succeeded()
        first, whole = self._call.first_token_s or 0.0, clock() - began
        yield FinalPiece(self._end.finish, self._known_usage(), first, whole - first)

    def _counted(self, text: str) -> str:
        self._length += len(text)
        self._steps += 1
        if self._length > _MAX_TEXT:
            raise late(self._spec, f"its answer is longer than {_MAX_TEXT} characters")
        return text

    async def _deltas(self) -> AsyncGenerator[Delta, None]:
        """The steps up to the last, each within its deadline."""
        times, loop = self._spec.timeouts, asyncio.get_running_loop()
        last = loop.time() + times.answer_s
        next_by = loop.time() + times.first_token_s
        async with aclosing(self._provider.upstream.stream(self._job, self._context)) as steps:
            while True:
                try:
                    async with asyncio.timeout_at(min(next_by, last)):
                        delta = await anext(steps, None)
                except TimeoutError:
                    if self._end:
                        return  # the answer is complete, and only its connection is not
                    raise late(self._spec, self._too_late(loop.time() >= last)) from None
                if delta is None:
                    return
                self._usage = delta.usage or self._usage
                if delta.finish:
                    self._end = delta
                if delta.text or delta.thinking:
                    next_by = loop.time() + times.token_s
                yield delta
                if delta.over:
                    return

    def _too_late(self, over: bool) -> str:
        times = self._spec.timeouts
        if over:
            return f"its answer was not complete within {times.answer_s:g} s"
        if self._steps:
            return f"nothing more came for {times.token_s:g} s"
        return f"its first token did not come within {times.first_token_s:g} s"

    def _known_usage(self) -> Usage:
        """The end's own counts, or, where it tells none, the estimate of the prompt and the steps that came."""
        gauge, texts = self._provider.gauge, self._job.texts
        if self._usage and self._usage.prompt_tokens:
            gauge.learn(texts, self._usage.prompt_tokens)
            return self._usage
        return Usage(prompt_tokens=gauge.messages(texts), completion_tokens=self._steps)


def late(spec: ProviderSpec, why: str) -> ProviderFailed:
    """The error of a provider that answers too late, too long, or not to the end."""
    hint = f"is the server at {spec.place} overloaded? its deadlines are in [providers.{spec.id}]"
    return ProviderFailed(f"answering with the provider {spec.id}", why, hint)
