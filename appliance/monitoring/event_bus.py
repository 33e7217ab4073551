"""Carries events from the threads that change things to the clients that watch; events coalesce.

A subscriber that reads slowly gets the newest event of each document or model, never a backlog: events are keyed, and a
newer one replaces the older one. So a queue is never longer than the number of documents and models.
"""

import asyncio
import contextlib
from collections import OrderedDict
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager

from appliance import wire

Key = tuple[str, str]


class _Subscription:
    """Newest event by key; touched only by the event loop's thread."""

    def __init__(self) -> None:
        self._pending: OrderedDict[Key, wire.Event] = OrderedDict()
        self._filled = asyncio.Event()
        self._closed = False

    def put(self, key: Key, event: wire.Event) -> None:
        self._pending[key] = event
        self._pending.move_to_end(key)
        self._filled.set()

    def close(self) -> None:
        self._closed = True
        self._filled.set()

    async def __aiter__(self) -> AsyncIterator[wire.Event]:
        while True:
            await self._filled.wait()
            while self._pending:
                yield self._pending.popitem(last=False)[1]
            if self._closed:
                return
            self._filled.clear()


class EventBus:
    """Publish from any thread, subscribe on the event loop."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._subscriptions: set[_Subscription] = set()
        self._closed = False

    def publish(self, key: Key, event: wire.Event) -> None:
        """Hand an event to every subscriber; from any thread, never blocks."""
        with contextlib.suppress(RuntimeError):  # the loop is closed, so there are no subscribers
            self._loop.call_soon_threadsafe(self._deliver, key, event)

    def _deliver(self, key: Key, event: wire.Event) -> None:
        for subscription in self._subscriptions:
            subscription.put(key, event)

    @contextmanager
    def subscribe(self) -> Iterator[AsyncIterator[wire.Event]]:
        """The events from now on; the iterator ends when the bus is closed."""
        subscription = _Subscription()
        if self._closed:
            subscription.close()
        self._subscriptions.add(subscription)
        try:
            yield aiter(subscription)
        finally:
            self._subscriptions.discard(subscription)

    def close(self) -> None:
        """End every subscriber's iterator; call on the event loop's thread."""
        self._closed = True
        for subscription in self._subscriptions:
            subscription.close()
