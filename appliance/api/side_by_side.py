"""Several streams as one, as things come."""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from typing import Final, TypeVar

T = TypeVar("T")
_OVER: Final = object()


async def side_by_side(sources: Sequence[AsyncGenerator[T, None]]) -> AsyncGenerator[tuple[int, T], None]:
    """Each item with the number of its source. The first failure ends all; closing it closes all."""
    items: asyncio.Queue[tuple[int, T | object]] = asyncio.Queue()

    async def pump(number: int, source: AsyncGenerator[T, None]) -> None:
        try:
            async with aclosing(source):
                async for item in source:
                    items.put_nowait((number, item))
        finally:
            items.put_nowait((number, _OVER))

    pumps = [asyncio.create_task(pump(number, source)) for number, source in enumerate(sources)]
    try:
        left = len(pumps)
        while left:
            number, item = await items.get()
            if item is _OVER:
                await pumps[number]
                left -= 1
            else:
                yield number, item  # type: ignore[misc]
    finally:
        for one in pumps:
            one.cancel()
        await asyncio.gather(*pumps, return_exceptions=True)
