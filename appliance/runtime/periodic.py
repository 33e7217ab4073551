"""The service's periodic tasks, beside serving; each is an endless task of the event loop."""

import asyncio
import logging
from contextlib import suppress

from appliance.errors import DocentError
from appliance.library.collection_rights import CollectionRights
from appliance.monitoring.event_bus import EventBus
from appliance.monitoring.status import Monitor
from appliance.runtime.sd_notify import notify, watchdog_seconds
from appliance.wire import Event, Status

_log = logging.getLogger(__name__)
# Chosen by eye.
_STATUS_SECONDS = 1.0
_RIGHTS_SECONDS = 5.0


async def publish_status(monitor: Monitor, events: EventBus) -> None:
    """Publish the status whenever it has changed."""
    last: Status | None = None
    while True:
        try:
            status = await asyncio.to_thread(monitor.status)
        except DocentError as error:
            _log.warning("%s; %s", error, error.hint)  # the database may work again in a second
        else:
            if status != last:
                events.publish(("status", ""), Event(type="status", status=status))
                last = status
        await asyncio.sleep(_STATUS_SECONDS)


async def refresh_rights(rights: CollectionRights) -> None:
    """Keep the rights on collections current, so that they still apply when the library's disk is unmounted."""
    while True:
        with suppress(DocentError):  # a request meets the same error and reports it
            await asyncio.to_thread(rights.look)
        await asyncio.sleep(_RIGHTS_SECONDS)


async def notify_watchdog() -> None:
    """Report to systemd that the event loop runs; returns at once if no watchdog is set."""
    every = watchdog_seconds()
    while every:
        notify(WATCHDOG=1)
        await asyncio.sleep(every)
