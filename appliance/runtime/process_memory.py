"""How often Python looks for cycles among objects.

Reading a page makes some ten thousand small objects without cycles: at the usual 700 the collector ran several times for
each page, and now and then over all that was loaded at the start. What is loaded by then stays for good.
"""

import asyncio
import gc

from ingest.malloc import give_back_freed

_GIVE_BACK_SECONDS = 5.0

_NEW_OBJECTS = 20_000


def collect_seldom() -> None:
    """Call once everything that stays has been loaded."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(_NEW_OBJECTS, *gc.get_threshold()[1:])


async def give_back_memory() -> None:
    """What reading and embedding have freed."""
    while True:
        await asyncio.to_thread(give_back_freed)
        await asyncio.sleep(_GIVE_BACK_SECONDS)
