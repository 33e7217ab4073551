"""The event bus: coalescing, closing, publishing from threads."""

import asyncio
import threading

from appliance import wire
from appliance.monitoring.event_bus import EventBus


def progress(number: int) -> wire.Event:
    return wire.Event(type="removed", removed=str(number))


async def test_a_slow_subscriber_gets_the_newest_event_of_each_key_and_no_backlog() -> None:
    bus = EventBus(asyncio.get_running_loop())
    with bus.subscribe() as events:
        for number in range(1000):
            bus.publish(("document", "d1"), progress(number))
        bus.publish(("document", "d2"), progress(-1))
        await asyncio.sleep(0)  # deliver
        assert [(await anext(events)).removed for _ in range(2)] == ["999", "-1"]


async def test_events_published_from_a_thread_arrive() -> None:
    bus = EventBus(asyncio.get_running_loop())
    with bus.subscribe() as events:
        thread = threading.Thread(target=bus.publish, args=(("a", "b"), progress(5)))
        thread.start()
        async with asyncio.timeout(10):
            assert (await anext(events)).removed == "5"
        thread.join()


async def test_closing_the_bus_ends_every_subscriber_even_later_ones() -> None:
    bus = EventBus(asyncio.get_running_loop())
    with bus.subscribe() as events:
        bus.close()
        async with asyncio.timeout(10):
            assert [event async for event in events] == []
    with bus.subscribe() as late:
        async with asyncio.timeout(10):
            assert [event async for event in late] == []
