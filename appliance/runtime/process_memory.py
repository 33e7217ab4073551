"""Keeps the process's memory work low: rare garbage collections, freed heap returned to the system.

Reading a page makes some ten thousand small objects without cycles. At Python's default threshold of 700 the collector
ran several times for each page, and now and then over everything loaded at the start, which stays loaded for good.
"""

import asyncio
import gc

from ingest.malloc import give_back_freed

_TRIM_SECONDS = 5.0  # chosen by eye
_NEW_OBJECTS = 20_000  # those of about two pages


def collect_rarely() -> None:
    """Raise the collector's threshold and exempt what is loaded now; call once everything that stays has been loaded."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(_NEW_OBJECTS, *gc.get_threshold()[1:])


async def trim_memory() -> None:
    """Return memory that reading and embedding have freed to the system, every few seconds."""
    while True:
        await asyncio.to_thread(give_back_freed)
        await asyncio.sleep(_TRIM_SECONDS)
