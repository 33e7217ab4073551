"""Completes with a bare model: one or several choices, whole or as a stream."""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass, field

from fastapi import Request
from starlette.responses import JSONResponse, Response

from appliance import wire
from appliance.api.context import Context
from appliance.api.errors import error_body
from appliance.api.model_desk import Generated
from appliance.api.openai.requests import Body, bare_requests, left_open, wants_logprobs, wants_usage
from appliance.api.openai.shapes import Json, Logprobs, Shape, Target
from appliance.api.streaming import ClosingStream, first_of, side_by_side, sse_objects, while_connected
from appliance.errors import ANY_DOCENT_ERROR
from appliance.library.collection_rights import Peer
from models.types import TokenLogprob

Pieces = AsyncGenerator[tuple[int, Generated], None]


async def bare_completion(
    parts: Context, peer: Peer, request: Request, shape: Shape, body: Body, target: Target
) -> Response:
    """Reply with the completion of the model itself, without documents."""
    assert target.model is not None
    requests = bare_requests(body, str(peer.uid))
    unset = left_open(body)
    generated = side_by_side([parts.models.generate(target.model, target.adapters, one, unset) for one in requests])
    if body.stream:
        source = _chunks(shape, body, await first_of(request, generated))
        return ClosingStream(sse_objects(source), "text/event-stream")
    return JSONResponse(await while_connected(request, _collected(shape, body, generated)))


@dataclass(slots=True)
class _Choice:
    """One choice while it is generated; `end` is its last piece."""

    logprobs: Logprobs | None
    text: str = ""
    tokens: list[TokenLogprob] = field(default_factory=list)
    end: Generated | None = None

    def logprobs_object(self, tokens: tuple[TokenLogprob, ...] | list[TokenLogprob]) -> Json | None:
        return self.logprobs.encode(tokens) if self.logprobs else None


def _choices(shape: Shape, body: Body) -> list[_Choice]:
    with_logprobs = wants_logprobs(body) is not None
    return [_Choice(Logprobs(chat=shape.chat) if with_logprobs else None) for _ in range(body.n)]


async def _collected(shape: Shape, body: Body, generated: Pieces) -> Json:
    choices = _choices(shape, body)
    async with aclosing(generated):
        async for index, piece in generated:
            choice = choices[index]
            choice.text += piece.text
            choice.tokens += piece.logprobs
            choice.end = piece if piece.finish_reason else choice.end
    finished = [
        shape.choice(one.text, one.end.finish_reason, index, one.logprobs_object(one.tokens))
        for index, one in enumerate(choices)
        if one.end and one.end.finish_reason
    ]
    return shape.whole(finished, _usage(choices), _docent_part(choices))


async def _chunks(shape: Shape, body: Body, generated: Pieces) -> AsyncGenerator[Json, None]:
    choices = _choices(shape, body)
    for index in range(body.n):
        yield shape.first(index)
    try:
        async with aclosing(generated):
            async for index, piece in generated:
                choice = choices[index]
                if piece.text or piece.logprobs:
                    yield shape.piece(piece.text, index, choice.logprobs_object(piece.logprobs))
                if piece.finish_reason:
                    choice.end = piece
                    over = all(one.end for one in choices)
                    chunk = shape.last(piece.finish_reason, index)
                    if over and not wants_usage(body):
                        chunk["docent"] = _docent_part(choices)
                    yield chunk
        if wants_usage(body):
            yield {**shape.usage(_usage(choices)), "docent": _docent_part(choices)}
    except ANY_DOCENT_ERROR as error:  # the reply has begun, so only the stream itself can report the failure
        for index, choice in enumerate(choices):
            if not choice.end:
                yield shape.last("error", index)
        yield {"error": error_body(error).model_dump()}


def _usage(choices: list[_Choice]) -> wire.Usage:
    """Sum up the tokens; the prompt counts once, as all choices share it."""
    ends = [choice.end.usage for choice in choices if choice.end]
    completion = sum(usage.completion_tokens for usage in ends)
    first = ends[0]
    return first.model_copy(update={"completion_tokens": completion, "total_tokens": first.prompt_tokens + completion})


def _docent_part(choices: list[_Choice]) -> Json:
    ends = [choice.end for choice in choices if choice.end]
    part: Json = {"citations": [], "timings": ends[-1].timings, "fallback": None}
    if ends[-1].dropped:
        part["dropped_messages"] = ends[-1].dropped
    return part
