"""OpenAI's routes under `/v1`: models, chat completions, completions, embeddings.

The model `docent` answers from the documents; a model's own id selects the bare model. Every bare completion goes
through `bare_completions`, every cited one through `Answerer.events`.
"""

import time
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any

import numpy as np
from fastapi import APIRouter, Request
from numpy.typing import NDArray
from starlette.responses import JSONResponse, Response

from appliance import wire
from appliance.api.blocking import blocking
from appliance.api.context import Context, Parts
from appliance.api.errors import body_reply
from appliance.api.model_desk import EmbeddingJob
from appliance.api.openai.bare_completions import bare_completion
from appliance.api.openai.requests import Body, ChatBody, CompletionBody, ask_request, one_prompt, wants_usage
from appliance.api.openai.shapes import (
    Json,
    Shape,
    Target,
    docent_part,
    embedding_object,
    model_object,
    parse_target,
    question_of,
)
from appliance.api.peer import Caller
from appliance.api.routes.search import whole_answer
from appliance.api.streaming import ClosingStream, first_of, sse_objects, while_connected
from appliance.errors import InvalidRequest
from appliance.library.collection_rights import Peer
from appliance.wire import openai
from models.errors import UnknownModel

router = APIRouter(prefix="/v1", tags=["openai"])
_MAX_INPUTS = 2048
"""Texts in one request for embeddings, as at OpenAI."""
_EMBEDDED_AT_ONCE = 8
"""Texts embedded before the next check for a cancelled request. Chosen by eye."""


@router.get("/models")
async def list_models(parts: Parts) -> Json:
    """List every name that `model` may have; needs read."""
    now = int(time.time())
    return {"object": "list", "data": [model_object(name, now) for name in await parts.models.openai_ids()]}


@router.get("/models/{model_id}")
async def show_model(parts: Parts, model_id: str) -> Json:
    """Return one of the names of `GET /v1/models`; needs read."""
    names = await parts.models.openai_ids()
    if model_id not in names:
        raise UnknownModel(f"model {model_id!r}", "no installed model has this id", f"installed: {', '.join(names)}")
    return model_object(model_id, int(time.time()))


@router.post("/chat/completions")
async def chat(parts: Parts, peer: Caller, body: ChatBody, request: Request) -> Response:
    """Complete a chat; needs read."""
    target = parse_target(body.model)
    shape = Shape(body.model or "docent", chat=True)
    if target.documents:
        return await _from_documents(parts, peer, request, shape, body, target, question_of(body.messages))
    return await bare_completion(parts, peer, request, shape, body, target)


@router.post("/completions")
async def complete(parts: Parts, peer: Caller, body: CompletionBody, request: Request) -> Response:
    """Complete a prompt; needs read."""
    prompt = one_prompt(body)
    target = parse_target(body.model)
    shape = Shape(body.model or "docent", chat=False)
    if target.documents:
        return await _from_documents(parts, peer, request, shape, body, target, prompt)
    return await bare_completion(parts, peer, request, shape, body, target)


async def _from_documents(
    parts: Context, peer: Peer, request: Request, shape: Shape, body: Body, target: Target, question: str
) -> Response:
    ask = ask_request(body, target, question)
    collections = await blocking(parts.rights.chosen, peer, None)
    events = parts.answerer.events(ask, collections, str(peer.uid))
    if body.stream:
        source = _cited_chunks(shape, await first_of(request, events), wants_usage(body))
        return ClosingStream(sse_objects(source), "text/event-stream")
    answer = await while_connected(request, whole_answer(events))
    if answer.error:
        return body_reply(answer.error)
    choice = shape.choice(answer.answer, answer.finish_reason)
    return JSONResponse(shape.whole([choice], answer.usage, docent_part(answer)))


async def _cited_chunks(
    shape: Shape, events: AsyncGenerator[wire.AskEvent, None], wants_usage: bool
) -> AsyncGenerator[Json, None]:
    broken: wire.ErrorBody | None = None
    async with aclosing(events):
        async for event in events:
            match event:
                case wire.PassagesEvent():
                    yield shape.first()
                case wire.TokenEvent():
                    yield shape.piece(event.text)
                case wire.ErrorEvent():
                    broken = event.error
                case wire.DoneEvent():
                    for chunk in _ending(shape, event.finish_reason, event.usage, docent_part(event), wants_usage):
                        yield chunk
    if broken:
        yield {"error": broken.model_dump()}


def _ending(shape: Shape, reason: str, usage: wire.Usage, docent: Json, wants_usage: bool) -> list[Json]:
    chunks = [shape.last(reason)]
    if wants_usage:
        chunks.append(shape.usage(usage))
    chunks[-1]["docent"] = docent
    return chunks


@router.post("/embeddings")
async def embed(parts: Parts, body: openai.EmbeddingsRequest, request: Request) -> Any:
    """Embed texts with the embedding model; needs read."""
    texts = [body.input] if isinstance(body.input, str) else body.input
    if not 1 <= len(texts) <= _MAX_INPUTS:
        raise InvalidRequest("embedding", f"the request has {len(texts)} inputs", f"send 1 to {_MAX_INPUTS} texts")
    with parts.models.embedding(body.model, body.dimensions) as job:
        vectors, tokens = await while_connected(request, _embedded(job, texts))
    data = [embedding_object(i, vector, body.encoding_format) for i, vector in enumerate(vectors)]
    usage = {"prompt_tokens": tokens, "total_tokens": tokens}
    return {"object": "list", "data": data, "model": job.model, "usage": usage}


async def _embedded(job: EmbeddingJob, texts: list[str]) -> tuple[list[NDArray[np.float32]], int]:
    """Embed a few texts at a time: a thread cannot be cancelled, and a disconnect or a stop must not wait for all."""
    tokens = await blocking(job.count_tokens, texts)
    vectors: list[NDArray[np.float32]] = []
    for start in range(0, len(texts), _EMBEDDED_AT_ONCE):
        vectors += await blocking(job.embed, texts[start : start + _EMBEDDED_AT_ONCE])
    return vectors, tokens
