"""The only way for blocking calls (store, embedder, files) to leave the event loop."""

from collections.abc import Callable
from functools import partial
from typing import ParamSpec, TypeVar

import anyio.to_thread

P = ParamSpec("P")
T = TypeVar("T")


async def blocking(function: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
    """Run a blocking call in one of anyio's worker threads, 40 at most; cancelling waits for it to end."""
    return await anyio.to_thread.run_sync(partial(function, *args, **kwargs))
