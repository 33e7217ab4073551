"""Leases a remote model like a local one, with deadlines, a circuit breaker and limits, for every kind of upstream.

Rule: one lease is one call of the breaker. Deadlines count from token to token, so a server that only sends keep-alives
still times out. After the first token an answer completes or fails; it is never restarted.
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
_MAX_TEXT = 4 << 20  # characters; chosen by eye
_BLAMELESS = (InvalidPrompt, ContextOverflow, NotSupported)
"""Errors of the request, which say nothing about the provider's health."""


class Call:
    """One permit of the breaker; ends it exactly once."""

    def __init__(self, provider: "Remote", permit: Permit) -> None:
        self._provider = provider
        self._permit: Permit | None = permit
        self.first_token_s: float | None = None
        self.began: float | None = None

    def succeeded(self) -> None:
        """The provider answered, or had begun to when the caller cancelled."""
        if permit := self._take():
            self._provider.breaker.succeeded(permit, self.first_token_s)

    def failed(self, error: ModelError) -> None:
        """The provider did not answer."""
        if isinstance(error, _BLAMELESS):
            self.abandoned()
        elif permit := self._take():
            self._provider.breaker.failed(permit, error.why)
            _log.warning("%s", error)

    def abandoned(self) -> None:
        """The caller needs no more of the answer."""
        if self.first_token_s is not None:
            self.succeeded()
        elif permit := self._take():
            waited = self._provider.clock() - self.began if self.began is not None else 0.0
            self._provider.breaker.abandoned(permit, waited)

    def _take(self) -> Permit | None:
        permit, self._permit = self._permit, None
        return permit


class Remote:
    """One provider. Belongs to the event loop's thread, except for its breaker's state, which any thread may read."""

    def __init__(self, spec: ProviderSpec, upstream: Upstream, clock: Callable[[], float] = time.monotonic) -> None:
        self.spec = spec
        self.clock = clock
        self.breaker = Breaker(spec.breaker, clock)
        self.gauge = TokenGauge()
        self.upstream = upstream
        self._context: int | None = None

    @contextlib.asynccontextmanager
    async def lease(self) -> AsyncIterator["RemoteLease"]:
        """Lease the provider for one call.

        Raises ProviderOpen while the breaker is open, and ProviderFailed or ModelBusy as the server answers.
        """
        permit = self.breaker.admit()
        if permit is None:
            what = f"answering with the provider {self.spec.id}"
            hint = f"wait: it is tried again {self.spec.breaker.open_s:g} s after it failed"
            raise ProviderOpen(what, f"it is left alone for now: {self.breaker.reason}", hint, self.breaker.retry_s)
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
            call.abandoned()

    async def aclose(self) -> None:
        """Close the connections."""
        await self.upstream.aclose()

    async def _known_context(self) -> int:
        if self._context is None:
            wait = self.spec.timeouts.first_token_s
            try:
                async with asyncio.timeout(wait):
                    self._context = await self.upstream.context()
            except TimeoutError:
                raise late(self.spec, f"it did not describe its model within {wait:g} s") from None
        return self._context


class RemoteLease:
    """A leased remote model. `context` is the most tokens of prompt and answer together."""

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
        """The tokens of a text, estimated on the high side: see `token_gauge`."""
        return self._provider.gauge.text(text)

    async def count_chat_tokens(self, messages: Sequence[ChatMessage]) -> int:
        """The tokens of a whole chat, estimated likewise."""
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
                raise NotSupported(what, f"a provider does not support {name}", "use a model on this machine")
        if request.overflow != "refuse":
            raise NotSupported(
                what, "a provider cannot drop turns of a chat", "send fewer messages, or use a model on this machine"
            )
        schema = None if request.json_schema is None else schema_of(request.json_schema, what)
        job = Job(request.sampling, request.messages, request.prompt, request.max_tokens, request.stop, schema)
        generation = RemoteGeneration(self._provider, job, self.context, self._call)
        self._generations.append(generation)
        return generation

    async def aclose(self) -> None:
        """End all running generations."""
        for generation in self._generations:
            await generation.aclose()


class RemoteGeneration(AsyncIterator[Piece]):
    """One answer as a stream of pieces. Close it, or use it as an async context manager, to end the request."""

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
    """An answer in progress: its length, its end and its usage."""

    def __init__(self, provider: Remote, job: Job, context: int, call: Call) -> None:
        self._provider, self._job, self._context, self._call = provider, job, context, call
        self._spec = provider.spec
        self._length = self._steps = 0
        self._end: Delta | None = None
        self._usage: Usage | None = None

    async def pieces(self) -> AsyncGenerator[Piece, None]:
        """The text piece by piece, then the final piece."""
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
        """The steps up to the last. Raises ProviderFailed when one exceeds its deadline."""
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
                        return  # the answer is complete, only the connection is still open
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
        """The server's own counts; where it reports none, the estimate of the prompt and the number of steps."""
        gauge, texts = self._provider.gauge, self._job.texts
        if self._usage and self._usage.prompt_tokens:
            gauge.learn(texts, self._usage.prompt_tokens)
            return self._usage
        return Usage(prompt_tokens=gauge.messages(texts), completion_tokens=self._steps)


def late(spec: ProviderSpec, why: str) -> ProviderFailed:
    """The error of a provider whose answer is too late, too long or incomplete."""
    hint = f"check the load of the server at {spec.place}, or raise the deadlines in [providers.{spec.id}]"
    return ProviderFailed(f"answering with the provider {spec.id}", why, hint)
