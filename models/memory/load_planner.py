"""Chooses how a model is loaded, by the memory that is obtainable: layers on GPUs, with or without a prompt cache.

Rule: a prompt cache is kept only if that evicts no other model. A choice takes nothing: admission carries it out.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final

from models.catalog.catalog import ModelSpec
from models.hardware.ram import RAM
from models.memory.budget import HolderKey, Plan, Proceed
from models.memory.estimator import Estimator
from models.memory.ledger import Ledger
from models.memory.need import Need, Part
from models.types import LoadSettings

_GROWTH_BYTES: Final = 4 << 20  # six small models in a soak of 500 operations grew by 0.4 to 2.9 MB


@dataclass(frozen=True, slots=True)
class MemoryPlan:
    """How to load a model, what that needs, and what has to happen first; `protected` are not evicted for it."""

    settings: LoadSettings
    need: Need
    decision: Plan
    protected: frozenset[HolderKey]


class LoadPlanner:
    """Plans loads. Belongs to the event loop's thread."""

    def __init__(self, estimator: Estimator) -> None:
        self._estimator = estimator
        self._proven: dict[tuple[object, LoadSettings], Need] = {}

    def need(self, spec: ModelSpec, settings: LoadSettings) -> Need:
        """The best that is known now, with room for growth; starts nothing and reads no file."""
        quick = self._estimator.quick(spec, settings)
        known = self._proven.get((spec.content, settings), quick) if quick.source == "header" else quick
        return _with_growth(known)

    async def prove(self, spec: ModelSpec, settings: LoadSettings) -> Need:
        """As `need`, after a dry run if only the header's estimate is known."""
        known = self._proven[spec.content, settings] = await self._estimator.refine(spec, settings)
        return _with_growth(known)

    async def placed(self, spec: ModelSpec, settings: LoadSettings, ledger: Ledger) -> LoadSettings:
        """`settings` with as many layers on GPUs as fit there; unchanged where there is no GPU."""
        if len(ledger.limits) == 1:
            return settings
        return await self._estimator.placed(spec, settings, ledger.obtainable())

    def choose(self, spec: ModelSpec, settings: LoadSettings, ledger: Ledger, older: HolderKey | None) -> MemoryPlan:
        """`settings`, without a prompt cache where that would evict a model; keeps `older` loaded beside it if it can.

        `older` is an earlier content of the same model, which answers until this one is loaded.
        """
        protected = frozenset(() if older is None else (older,))
        lean = settings.model_copy(update={"cache_bytes": 0})
        for tried in (settings, lean):
            need = self.need(spec, tried)
            decision = ledger.plan(need.devices, protected)
            if isinstance(decision, Proceed) and (tried is lean or all(key.part for key in decision.victims)):
                return MemoryPlan(tried, need, decision, protected)
        return MemoryPlan(lean, need, ledger.plan(need.devices), frozenset())  # no room for both contents

    def smaller(self, spec: ModelSpec, settings: LoadSettings, limits: Mapping[str, int]) -> list[str]:
        """What would fit into `limits` instead: see `Estimator.smaller`."""
        return self._estimator.smaller(spec, settings, limits)


def _with_growth(need: Need) -> Need:
    """With room for what a process gathers while it answers, before that was measured and remembered."""
    more = Part("process", RAM, _GROWTH_BYTES + sum(part.bytes for part in need.parts if _is_own(part)))
    return replace(need, parts=(*(part for part in need.parts if not _is_own(part)), more))


def _is_own(part: Part) -> bool:
    return part.name == "process" and part.device == RAM
