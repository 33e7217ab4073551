"""`GET /events`: what changes, as server-sent events, filtered by what the caller may see."""

import os
from collections.abc import AsyncGenerator

from fastapi import APIRouter
from starlette.responses import StreamingResponse

from appliance import wire
from appliance.api.blocking import blocking
from appliance.api.context import Context, Parts
from appliance.api.peer import Caller
from appliance.api.streaming import ClosingStream, sse
from appliance.rights import Peer

router = APIRouter(tags=["service"])


@router.get("/events", response_class=StreamingResponse)
async def events(parts: Parts, peer: Caller) -> ClosingStream:
    """Documents, models and the service's status as they change; begins with the status; needs read."""
    return ClosingStream(sse(_visible_events(parts, peer)), "text/event-stream")


async def _visible_events(parts: Context, peer: Peer) -> AsyncGenerator[wire.Event, None]:
    with parts.events.subscribe() as changes:
        yield wire.Event(type="status", status=await blocking(parts.monitor.status))
        async for event in changes:
            if event.document is None or await _sees(parts, peer, event.document.collection):
                yield event


async def _sees(parts: Context, peer: Peer, collection: str) -> bool:
    readable = await blocking(parts.rights.readable, peer)
    return readable is None or os.fsencode(collection) in readable
