"""Streams replies, merges streams, and stops the source of each as soon as its client disconnects."""

import asyncio
import json
from collections.abc import AsyncGenerator, Coroutine, Sequence
from contextlib import aclosing
from typing import Any, Final, TypeVar

import anyio
from fastapi import Request
from pydantic import BaseModel
from starlette.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

T = TypeVar("T")
_SOURCE_ENDED: Final = object()
_ONE_LINE: Final = {ord(character): f"\\u{ord(character):04x}" for character in "\x85\u2028\u2029"}
"""JSON allows these characters unescaped, but many clients, `str.splitlines` among them, end a line at them."""


class ClientGone(Exception):
    """The client disconnected before its reply was ready, so there is no reply to send."""


class ClosingStream(StreamingResponse):
    """A streamed reply that closes its source when it ends, however it ends.

    Starlette cancels the sending task when the client disconnects, which leaves a source that is suspended at a
    `yield` to the garbage collector: a model would keep generating without a client.
    """

    def __init__(self, source: AsyncGenerator[str, None], media_type: str) -> None:
        super().__init__(source, media_type=media_type, headers={"Cache-Control": "no-store"})
        self._source = source

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the stream."""
        try:
            await super().__call__(scope, receive, send)
        finally:
            with anyio.CancelScope(shield=True):
                await self._source.aclose()


async def ndjson(events: AsyncGenerator[BaseModel, None]) -> AsyncGenerator[str, None]:
    """Encode events as NDJSON, one JSON object per line."""
    async with aclosing(events):
        async for event in events:
            yield event.model_dump_json(by_alias=True).translate(_ONE_LINE) + "\n"


async def sse(events: AsyncGenerator[BaseModel, None]) -> AsyncGenerator[str, None]:
    """Encode events as unnamed server-sent events; a client distinguishes them by their `type`."""
    async with aclosing(events):
        async for event in events:
            yield f"data: {event.model_dump_json(by_alias=True, exclude_none=True).translate(_ONE_LINE)}\n\n"


async def sse_objects(objects: AsyncGenerator[dict[str, object], None]) -> AsyncGenerator[str, None]:
    """Encode JSON objects as OpenAI's stream: server-sent events, and `[DONE]` last."""
    async with aclosing(objects):
        async for item in objects:
            yield f"data: {json.dumps(item, ensure_ascii=False).translate(_ONE_LINE)}\n\n"
    yield "data: [DONE]\n\n"


async def while_connected(request: Request, work: Coroutine[Any, Any, T]) -> T:
    """Await `work`; cancel it as soon as the client disconnects. The request's body must have been read before.

    Raises:
        ClientGone: the client disconnected first.
    """
    working, disconnecting = asyncio.create_task(work), asyncio.create_task(_disconnected(request))
    try:
        await asyncio.wait({working, disconnecting}, return_when=asyncio.FIRST_COMPLETED)
        if working.done():
            return working.result()
        raise ClientGone
    finally:
        working.cancel()
        disconnecting.cancel()
        await asyncio.gather(working, disconnecting, return_exceptions=True)


async def first_of(request: Request, events: AsyncGenerator[T, None]) -> AsyncGenerator[T, None]:
    """Await the first event, then return all of them. An error before it is raised here, before the reply starts."""

    async def next_event() -> T:
        return await anext(events)

    first = await while_connected(request, next_event())

    async def rest() -> AsyncGenerator[T, None]:
        async with aclosing(events):
            yield first
            async for event in events:
                yield event

    return rest()


async def side_by_side(sources: Sequence[AsyncGenerator[T, None]]) -> AsyncGenerator[tuple[int, T], None]:
    """Merge streams: yield each item with the number of its source. The first failure, or closing this, ends all."""
    items: asyncio.Queue[tuple[int, T | object]] = asyncio.Queue()

    async def pump(number: int, source: AsyncGenerator[T, None]) -> None:
        try:
            async with aclosing(source):
                async for item in source:
                    items.put_nowait((number, item))
        finally:
            items.put_nowait((number, _SOURCE_ENDED))

    pumps = [asyncio.create_task(pump(number, source)) for number, source in enumerate(sources)]
    try:
        running = len(pumps)
        while running:
            number, item = await items.get()
            if item is _SOURCE_ENDED:
                await pumps[number]
                running -= 1
            else:
                yield number, item  # type: ignore[misc]
    finally:
        for one in pumps:
            one.cancel()
        await asyncio.gather(*pumps, return_exceptions=True)


async def _disconnected(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass
