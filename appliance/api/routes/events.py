"""`GET /events`: changes as server-sent events, filtered by what the caller may see."""

from collections.abc import AsyncGenerator

from fastapi import APIRouter
from starlette.responses import StreamingResponse

from appliance import wire
from appliance.api.blocking import blocking
from appliance.api.context import Context, Parts
from appliance.api.peer import Caller
from appliance.api.streaming import ClosingStream, sse
from appliance.display.path_names import display_name
from appliance.library.collection_rights import Peer

router = APIRouter(tags=["service"])


@router.get("/events", response_class=StreamingResponse)
async def events(parts: Parts, peer: Caller) -> ClosingStream:
    """Stream changes of documents, models and the service's status, beginning with the status; needs read."""
    return ClosingStream(sse(_visible_events(parts, peer)), "text/event-stream")


async def _visible_events(parts: Context, peer: Peer) -> AsyncGenerator[wire.Event, None]:
    with parts.events.subscribe() as changes:
        yield await blocking(_status, parts, peer)
        async for event in changes:
            if (seen := await blocking(_seen, parts, peer, event)) is not None:
                yield seen


def _seen(parts: Context, peer: Peer, event: wire.Event) -> wire.Event | None:
    """Return the event as this caller may see it, None if the caller may not."""
    if event.status is not None:
        return _status(parts, peer)
    if event.document is None:
        return event
    readable = parts.rights.readable(peer)
    visible = readable is None or event.document.collection in map(display_name, readable)
    return event if visible else None


def _status(parts: Context, peer: Peer) -> wire.Event:
    return wire.Event(type="status", status=parts.monitor.status(parts.rights.readable(peer)))
