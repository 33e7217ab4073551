"""Uses a loaded model while it is leased: counts tokens and generates.

Rule: a generation that is closed, or whose lease ends, is cancelled in the child; no answer is ever spliced or retried.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from types import TracebackType
from typing import Final, Self

from models import errors
from models.adapters.catalog import AdapterSpec
from models.catalog.catalog import ModelSpec
from models.child_process.child import Channel, Child
from models.child_process.messages import (
    AdapterUse,
    Chat,
    Count,
    Counted,
    Event,
    Finished,
    Generate,
    Prompt,
    ProtocolError,
    Raw,
    Refused,
    Started,
    Text,
    path_text,
)
from models.errors import InvalidPrompt, ModelBusy
from models.types import MOST_LOGPROBS, ChatMessage, FinalPiece, GenerationRequest, Piece, TemplateSource, TextPiece

_KINDS: Final = {
    "ContextOverflow": errors.ContextOverflow,
    "InvalidPrompt": errors.InvalidPrompt,
    "InvalidModelFile": errors.InvalidModelFile,
}


class Generation(AsyncIterator[Piece]):
    """One answer as a stream of pieces. Close it, or use it as an async context manager, to cancel the rest."""

    def __init__(self, channel: Channel, what: str, wait_s: float) -> None:
        self._channel = channel
        self._what = what
        self._wait_s: float | None = wait_s  # until it has started
        self._over = False
        self.prompt_tokens: int | None = None
        self.dropped = 0

    async def __anext__(self) -> Piece:
        """Raises ModelCrashed, ContextOverflow, InvalidPrompt, InvalidModelFile, and ModelBusy on a time-out."""
        while not self._over:
            match await self._event():
                case Started() as started:
                    self.prompt_tokens, self.dropped, self._wait_s = started.prompt_tokens, started.dropped, None
                case Text(text=text, logprobs=logprobs):
                    return TextPiece(text, logprobs)
                case Finished() as end:
                    self._over = True
                    return FinalPiece(
                        end.reason,
                        end.usage,
                        end.prefill_s,
                        end.decode_s,
                        drafted=end.drafted,
                        accepted=end.accepted,
                        dropped=self.dropped,
                    )
                case Refused() as refused:
                    self._over = True
                    raise _refusal(refused)
                case _:
                    raise AssertionError("the channel lets through no other kind")
        raise StopAsyncIteration

    async def aclose(self) -> None:
        """Cancel the rest of the answer."""
        self.cancel()

    def cancel(self) -> None:
        """As `aclose`, for callers that cannot await."""
        self._over = True
        self._channel.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None
    ) -> None:
        self.cancel()

    async def _event(self) -> Event:
        try:
            async with asyncio.timeout(self._wait_s):
                return await self._channel.next()
        except TimeoutError:
            self.cancel()
            raise ModelBusy(
                self._what, f"its turn did not come within {self._wait_s:g} s", "try again in a while"
            ) from None
        except errors.ModelCrashed:
            self._over = True
            raise


class Lease:
    """A loaded model that is not unloaded while it is leased. `context` is the most tokens of prompt and answer."""

    def __init__(
        self,
        spec: ModelSpec,
        child: Child,
        adapters: Sequence[tuple[AdapterSpec, float]],
        *,
        wait_s: float,
        queue: int,
    ) -> None:
        self.spec = spec
        self._child = child
        self._adapters = tuple(
            AdapterUse(key=adapter.sha256, path=path_text(adapter.path), scale=scale) for adapter, scale in adapters
        )
        self._wait_s = wait_s
        self._queue = queue
        self._generations: list[Generation] = []

    @property
    def model_id(self) -> str:
        return self.spec.id

    @property
    def context(self) -> int:
        return self._child.loaded.context

    @property
    def template(self) -> TemplateSource:
        """Where the chat template comes from."""
        return self._child.loaded.template

    async def count_tokens(self, text: str) -> int:
        """The tokens of a plain text, as part of a message. Raises ModelCrashed, ModelBusy."""
        return await self._count(Raw(text=text, bos=False))

    async def count_chat_tokens(self, messages: Sequence[ChatMessage]) -> int:
        """The tokens of the whole prompt made from these. Raises InvalidPrompt, ModelCrashed, ModelBusy."""
        if not messages:
            raise InvalidPrompt("answering a prompt", "there are no messages", "give at least one")
        return await self._count(Chat(messages=tuple(messages)))

    def generate(self, request: GenerationRequest) -> Generation:
        """Begin an answer. Each generation counts against the queue.

        Raises InvalidPrompt, ModelBusy, ModelCrashed; the rest is raised by the generation.
        """
        what = f"answering with the model {self.model_id}"
        check_request(request, what)
        if request.logprobs is not None and not 0 <= request.logprobs <= MOST_LOGPROBS:
            raise InvalidPrompt(what, f"logprobs is {request.logprobs}", f"ask for 0 to {MOST_LOGPROBS}")
        if self._child.open_requests >= self._queue:
            raise ModelBusy(what, f"{self._child.open_requests} requests are waiting already", "try again in a while")
        channel = self._send(what, lambda number: Generate(id=number, request=request, adapters=self._adapters))
        generation = Generation(channel, what, self._wait_s)
        self._generations.append(generation)
        return generation

    def close(self) -> None:
        """Cancel all running generations."""
        for generation in self._generations:
            generation.cancel()

    async def _count(self, prompt: Prompt) -> int:
        what = f"counting tokens with the model {self.model_id}"
        channel = self._send(what, lambda request_id: Count(id=request_id, prompt=prompt))
        try:
            async with asyncio.timeout(self._wait_s):
                event = await channel.next()
        except TimeoutError:
            raise ModelBusy(what, "it did not answer in time", "try again in a while") from None
        finally:
            channel.close()
        if isinstance(event, Refused):
            raise _refusal(event)
        assert isinstance(event, Counted)  # the channel lets through no other kind
        return event.tokens

    def _send(self, what: str, make: Callable[[int], Generate | Count]) -> Channel:
        try:
            return self._child.send(make)
        except ProtocolError as error:
            raise InvalidPrompt(what, str(error), "shorten the prompt") from error


def check_request(request: GenerationRequest, what: str) -> None:
    """Raises InvalidPrompt for a request that no model, local or remote, can answer."""
    if bool(request.messages) == (request.prompt is not None):
        raise InvalidPrompt(what, "it needs either messages or a prompt", "give one of them")
    if request.max_tokens is not None and request.max_tokens < 1:
        raise InvalidPrompt(what, f"max_tokens is {request.max_tokens}", "ask for at least one token")


def _refusal(refused: Refused) -> errors.ModelError:
    return _KINDS[refused.kind](refused.what, refused.why, refused.hint)
