"""Loads models that no request waits for: pinned and preloaded ones at the start, and new versions beside the old.

Rule: a failure is recorded, never raised. A content that failed to load is retried only when a request asks for it, or
after a rescan; one that only timed out waiting for memory is retried after a while.
"""

import asyncio
import math
from collections.abc import Awaitable, Callable, Iterable
from typing import Final

from models.catalog.catalog import ModelSpec
from models.errors import ModelBusy, ModelError
from models.residency.state import ResidencyState

_BUSY_S: Final = 10.0  # before a load that found no memory in time is retried; chosen by eye

Load = Callable[[ModelSpec], Awaitable[None]]


class BackgroundLoads:
    """Runs `load`, which may raise ModelError, in a task for each model."""

    def __init__(self, residency: ResidencyState, load: Load) -> None:
        self._residency = residency
        self._load = load
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._not_before: dict[object, float] = {}  # by content; for ever if its load failed
        self._first: asyncio.Task[None] | None = None

    def swap(self, spec: ModelSpec) -> None:
        """Begin to load this content beside an earlier one, unless it is being loaded or has failed."""
        if self._residency.clock() >= self._not_before.get(spec.content, 0.0):
            self.begin(spec)

    def begin(self, spec: ModelSpec) -> None:
        """Begin to load it, unless it is being loaded."""
        if spec.id not in self._tasks and not self._residency.closing:
            task = asyncio.create_task(self._try(spec), name=f"background load {spec.id}")
            self._tasks[spec.id] = task
            task.add_done_callback(lambda _: self._tasks.pop(spec.id, None))

    def preload(self, model_ids: Iterable[str]) -> None:
        """Load these one after another."""
        self._first = asyncio.create_task(self._preload(tuple(model_ids)), name="preload")

    def forget_failures(self) -> None:
        """Allow retries of what failed: after a rescan it may load."""
        self._not_before.clear()

    async def close(self) -> None:
        """Cancel all loads in progress."""
        tasks = [*self._tasks.values(), *([self._first] if self._first else [])]
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)

    async def _preload(self, model_ids: tuple[str, ...]) -> None:
        for model_id in model_ids:
            try:
                spec = self._residency.catalog.get(model_id)
            except ModelError as error:
                self._note(model_id, error)
            else:
                await self._try(spec)

    async def _try(self, spec: ModelSpec) -> None:
        try:
            await self._load(spec)
        except ModelError as error:
            busy = isinstance(error, ModelBusy)
            self._not_before[spec.content] = self._residency.clock() + _BUSY_S if busy else math.inf
            self._note(spec.id, error)

    def _note(self, model_id: str, error: ModelError) -> None:
        if not self._residency.closing:
            self._residency.failures.setdefault(model_id, str(error))
            self._residency.decisions.note("failed", model_id, f"{error}; {error.hint}")
