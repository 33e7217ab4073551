"""`GET /documents/{id}/pages/{number}`: draws a page as a picture, in the parser's sandbox, two at a time."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from threading import Event
from typing import Annotated, Any

from fastapi import APIRouter, Path, Query, Request, Response

from appliance import wire
from appliance.answering.page_renderer import RenderRequest
from appliance.api.blocking import blocking
from appliance.api.context import Context, Parts
from appliance.api.peer import Caller
from appliance.api.routes.documents import visible
from appliance.errors import Busy
from appliance.library.collection_rights import Peer
from ingest.types import PageImage

router = APIRouter(tags=["documents"])
AT_ONCE = 2
"""Pages drawn at the same time. Chosen by eye."""
_PATIENCE_SECONDS = 20.0
"""Longest wait for a turn. Chosen by eye."""
_MOST_PAGE = 10_000_000
_PICTURE: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "The page; the header `Docent-Dpi` gives its resolution in dots per inch.",
        "content": {"image/png": {"schema": {"type": "string", "format": "binary"}}},
        "headers": {"Docent-Dpi": {"schema": {"type": "integer"}}},
    }
}


@router.get("/documents/{document_id}/pages/{number}", response_class=Response, responses=_PICTURE)
async def show_page(
    parts: Parts,
    peer: Caller,
    request: Request,
    document_id: str,
    number: Annotated[int, Path(ge=1, le=_MOST_PAGE)],
    chunk_id: str | None = None,
    quote: Annotated[str | None, Query(min_length=1, max_length=wire.MAX_QUOTE_CHARS)] = None,
    dpi: Annotated[int, Query(ge=wire.LEAST_DPI, le=wire.MOST_DPI)] = wire.USUAL_DPI,
) -> Response:
    """Draw a page as a PNG, with the words of a passage or of a quote highlighted; needs read."""
    wanted = RenderRequest(number, dpi, chunk_id, quote)
    async with _turn(request.app.state.drawing, f"page {number} of document {document_id!r}"):
        image = await _draw(parts, peer, document_id, wanted)
    headers = {"Docent-Dpi": str(image.dpi), "Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}
    return Response(image.png, media_type="image/png", headers=headers)


@asynccontextmanager
async def _turn(drawing: asyncio.Semaphore, what: str) -> AsyncIterator[None]:
    """Wait for a turn, not for long, and not in a thread: all requests share the threads."""
    try:
        async with asyncio.timeout(_PATIENCE_SECONDS):
            await drawing.acquire()
    except TimeoutError:
        raise Busy(what, "too many other pages are being drawn", "try again in a few seconds") from None
    try:
        yield
    finally:
        drawing.release()


async def _draw(parts: Context, peer: Peer, document_id: str, wanted: RenderRequest) -> PageImage:
    """Draw the page in a thread; a cancelled request stops the thread's work."""
    stop = Event()

    def draw() -> PageImage:
        return parts.renderer.render(visible(parts, peer, document_id), wanted, stop)

    work = asyncio.ensure_future(blocking(draw))
    try:
        return await asyncio.shield(work)
    except asyncio.CancelledError:
        stop.set()
        await asyncio.gather(work, return_exceptions=True)
        raise
