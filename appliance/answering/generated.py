"""Answers with a language model: packs the passages, prompts, streams through the marker filter."""

from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Protocol

from appliance import wire
from appliance.answering.markers import MarkerFilter
from appliance.answering.packing import pack
from appliance.store.rows import PassageRow
from models.types import AdapterRef, ChatMessage, FinalPiece, GenerationRequest, Sampling, TextPiece


class Generating(Protocol):
    """One running generation."""

    def __aiter__(self) -> AsyncIterator[TextPiece | FinalPiece]: ...

    async def aclose(self) -> None: ...


class Leased(Protocol):
    """A lease on a loaded model."""

    @property
    def context(self) -> int: ...

    async def count_tokens(self, text: str) -> int: ...

    async def count_chat_tokens(self, messages: Sequence[ChatMessage]) -> int: ...

    def generate(self, request: GenerationRequest) -> Generating: ...


class Leases(Protocol):
    """The part of the model manager that is used here."""

    def lease(self, model_id: str, adapters: Sequence[AdapterRef] = ()) -> AbstractAsyncContextManager[Leased]: ...


@dataclass(frozen=True, slots=True)
class Job:
    """A question, its passages, and the model that is to answer."""

    question: str
    rows: Sequence[PassageRow]
    model: str
    adapters: tuple[AdapterRef, ...]
    max_tokens: int
    sampling: Sampling
    stop: tuple[str, ...] = ()
    scope: str = ""


@dataclass(frozen=True, slots=True)
class End:
    """How the generation ended."""

    finish_reason: wire.FinishReason
    usage: wire.Usage
    prefill: float
    decode: float


async def generate(job: Job, manager: Leases) -> AsyncGenerator[str | End, None]:
    """Stream the pieces of the filtered answer, then its `End`. Closing it cancels the generation.

    Raises the errors of `Manager.lease` and `Lease.generate`, and ContextOverflow if not even one passage fits.
    """
    async with manager.lease(job.model, job.adapters) as lease:
        packed = await pack(
            job.question,
            job.rows,
            context=lease.context,
            max_tokens=job.max_tokens,
            count=lease.count_tokens,
            count_chat=lease.count_chat_tokens,
        )
        markers = MarkerFilter(packed.passages)
        request = GenerationRequest(
            messages=packed.messages,
            max_tokens=packed.max_tokens,
            sampling=job.sampling,
            stop=job.stop,
            scope=job.scope,
        )
        pieces = lease.generate(request)
        try:
            async for piece in pieces:
                if isinstance(piece, TextPiece):
                    if text := markers.feed(piece.text):
                        yield text
                    continue
                if text := markers.flush():
                    yield text
                yield _end(piece)
        finally:
            await pieces.aclose()


def _end(piece: FinalPiece) -> End:
    counted = piece.usage
    usage = wire.Usage(
        prompt_tokens=counted.prompt_tokens,
        completion_tokens=counted.completion_tokens,
        total_tokens=counted.prompt_tokens + counted.completion_tokens,
        prompt_tokens_details=wire.PromptDetails(cached_tokens=counted.cached_tokens),
    )
    return End(piece.finish_reason, usage, piece.prefill_s, piece.decode_s)
