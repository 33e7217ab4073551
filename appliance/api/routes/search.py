"""`POST /search` and `POST /ask`."""

from collections.abc import AsyncGenerator

from fastapi import APIRouter, Request
from starlette.responses import Response

from appliance import wire
from appliance.answering.passage_view import passage_view
from appliance.api.blocking import blocking
from appliance.api.context import Parts
from appliance.api.peer import Caller
from appliance.api.streaming import ClosingStream, first_of, ndjson, while_connected

router = APIRouter(tags=["answers"])


@router.post("/search")
async def search(parts: Parts, peer: Caller, body: wire.SearchRequest) -> wire.SearchReply:
    """Find the best passages, one per page, best first; needs read."""

    def find() -> wire.SearchReply:
        collections = parts.rights.chosen(peer, body.collection)
        found = parts.retriever.search(body.query, k=body.k, collections=collections)
        return wire.SearchReply(
            query=body.query,
            results=[passage_view(hit.passage, hit.score) for hit in found.hits],
            timings=found.timings,
        )

    return await blocking(find)


@router.post("/ask", response_model=wire.Answer)
async def ask(parts: Parts, peer: Caller, body: wire.AskRequest, request: Request) -> wire.Answer | Response:
    """Answer with citations; with `stream`, as NDJSON events `passages`, `token`, `error`, `done`; needs read."""
    collections = await blocking(parts.rights.chosen, peer, body.collection)
    events = parts.answerer.events(body, collections, str(peer.uid))
    if body.stream:
        # Awaiting the first event here makes a refusal an HTTP status instead of a broken stream.
        return ClosingStream(ndjson(await first_of(request, events)), "application/x-ndjson")
    return await while_connected(request, whole_answer(events))


async def whole_answer(events: AsyncGenerator[wire.AskEvent, None]) -> wire.Answer:
    """Consume the events and return the answer that the last one carries."""
    answer: wire.DoneEvent | None = None
    async for event in events:
        if isinstance(event, wire.DoneEvent):
            answer = event
    assert answer is not None
    return wire.Answer.model_validate(answer.model_dump(by_alias=True))
