"""What a running service does again and again beside serving; each an endless task of the event loop."""

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
_STATUS_SECONDS = 1.0
_RIGHTS_SECONDS = 5.0


async def tell_status(monitor: Monitor, events: EventBus) -> None:
    """Publish the status whenever it has changed."""
    last: Status | None = None
    while True:
        try:
            status = await asyncio.to_thread(monitor.status)
        except DocentError as error:
            _log.warning("%s; %s", error, error.hint)  # the database may be well again in a second
        else:
            if status != last:
                events.publish(("status", ""), Event(type="status", status=status))
                last = status
        await asyncio.sleep(_STATUS_SECONDS)


async def remember_rights(rights: CollectionRights) -> None:
    """Know who may see what as it was shortly before the library's disk goes away."""
    while True:
        with suppress(DocentError):  # whoever asks is told
            await asyncio.to_thread(rights.look)
        await asyncio.sleep(_RIGHTS_SECONDS)


async def pet_watchdog() -> None:
    """Tell systemd that the event loop turns; ends at once where nobody wants to know."""
    every = watchdog_seconds()
    while every:
        notify(WATCHDOG=1)
        await asyncio.sleep(every)
