"""Follows the service and tells the application; the only thing here that decides when to try again.

The event stream begins with the status once it is subscribed, so what is loaded after that first event misses nothing.
Where there is no event stream, or it ends, everything is loaded anew every few seconds: polling is the same loop.
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

RETRY_SECONDS = 2.0
Post = Callable[[Message], object]
Sleep = Callable[[float], Awaitable[None]]


async def follow(client: AsyncClient, post: Post, sleep: Sleep = asyncio.sleep) -> None:
    """Post messages until cancelled."""
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
    """Post each event, and everything once more after the first."""
    first = True
    async with aclosing(client.events()) as events:
        async for event in events:
            if first:
                post(await _everything(client))
                first = False
            await _tell(client, event, post)


async def _tell(client: AsyncClient, event: wire.Event, post: Post) -> None:
    if event.status:
        post(StatusChanged(event.status))
    if event.document:
        post(DocumentChanged(event.document))
    if event.removed:
        post(DocumentRemoved(event.removed))
    if event.model:
        post(ModelsChanged(await client.models()))
