"""Follows the service and posts its changes to the application. Only this file decides when to retry.

The first event is the status, sent once the stream is subscribed; so what is loaded after it misses nothing. Without an
event stream, or when it ends, everything is loaded again after a few seconds: polling is the same loop.
"""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import aclosing

from textual.message import Message

from appliance import wire
from appliance.client import AsyncClient, DocentError, ServiceUnreachable
from tui.messages import (
    DocumentChanged,
    DocumentRemoved,
    ModelsChanged,
    ServiceFound,
    ServiceLost,
    StatusChanged,
)

RETRY_SECONDS = 2.0  # chosen by eye
Post = Callable[[Message], object]
Sleep = Callable[[float], Awaitable[None]]


async def follow(client: AsyncClient, post: Post, sleep: Sleep = asyncio.sleep) -> None:
    """Posts messages until cancelled."""
    while True:
        try:
            post(await _everything(client))
            await _stream(client, post)
        except ServiceUnreachable as error:
            post(ServiceLost(error.why, error.hint))
        except DocentError as error:
            post(ServiceLost(str(error), error.hint))
        await sleep(RETRY_SECONDS)


async def _everything(client: AsyncClient) -> ServiceFound:
    return ServiceFound(await client.status(), await client.documents(), await client.models())


async def _stream(client: AsyncClient, post: Post) -> None:
    """Posts each event, and everything again after the first one."""
    first = True
    async with aclosing(client.events()) as events:
        async for event in events:
            if first:
                post(await _everything(client))
                first = False
            await _post_event(client, event, post)


async def _post_event(client: AsyncClient, event: wire.Event, post: Post) -> None:
    if event.status:
        post(StatusChanged(event.status))
    if event.document:
        post(DocumentChanged(event.document))
    if event.removed:
        post(DocumentRemoved(event.removed))
    if event.model:
        post(ModelsChanged(await client.models()))
