"""Loads that nobody waits for: of pinned models and others at the start, and of a model's new content beside the old.

Rule: a failure is noted, never raised; what failed for one content is not tried again before somebody asks for it. What
only found no room in time is tried again after a while.
"""

import asyncio
import math
from collections.abc import Awaitable, Callable, Iterable
from typing import Final

from models.catalog.catalog import ModelSpec
from models.errors import ModelBusy, ModelError
from models.residency.state import ResidencyState

_BUSY_S: Final = 10.0

Load = Callable[[ModelSpec], Awaitable[None]]


class BackgroundLoads:
    """Runs `load`, which raises ModelError, for models in tasks of its own."""

    def __init__(self, residency: ResidencyState, load: Load) -> None:
        self._residency = residency
        self._load = load
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._not_before: dict[object, float] = {}  # by content; for ever if its load has failed
        self._first: asyncio.Task[None] | None = None

    def swap(self, spec: ModelSpec) -> None:
        """Begin to load this content beside an earlier one, unless that is under way or has failed."""
        if self._residency.clock() >= self._not_before.get(spec.content, 0.0):
            self.begin(spec)

    def begin(self, spec: ModelSpec) -> None:
        """Load it, unless that is under way."""
        if spec.id not in self._tasks and not self._residency.closing:
            task = asyncio.create_task(self._try(spec), name=f"background load {spec.id}")
            self._tasks[spec.id] = task
            task.add_done_callback(lambda _: self._tasks.pop(spec.id, None))

    def preload(self, model_ids: Iterable[str]) -> None:
        """Load these one after another."""
        self._first = asyncio.create_task(self._preload(tuple(model_ids)), name="preload")

    def forget_failures(self) -> None:
        """The folder of models was looked at again: what failed may do now."""
        self._not_before.clear()

    async def close(self) -> None:
        """Give up what is under way."""
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
            self._residency.journal.note("failed", model_id, f"{error}; {error.hint}")
