"""Predicts what a load needs, ever better: from the header, from a dry run, from measurements.

Rule: results are kept by the file's content, the settings that matter, the version of llama.cpp and the CPU's kind, so
that nothing is computed twice and nothing is reused from another machine. Belongs to the event loop's thread; `quick`
and `smaller` do no I/O.
"""

import asyncio
import hashlib
import importlib.metadata
import json
import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import cache
from typing import Final

from models.catalog.catalog import ModelSpec
from models.child_process.dry_run_messages import Report
from models.child_process.spawner import Spawner
from models.hardware.gpus import Devices
from models.hardware.ram import RAM, Measured
from models.memory.dry_run import MODULE, DryRunFailed, dry_run
from models.memory.estimate import estimate, from_dry_run, with_measured
from models.memory.layer_placement import devices_of_layers, fitting_layers
from models.memory.measurements import Measurements
from models.memory.need import Need, Part
from models.memory.repacking import repacked_here
from models.memory.smaller_settings import smaller_settings
from models.types import LoadSettings

_log = logging.getLogger(__name__)
# Chosen by eye.
_TRIES: Final = 4  # dry runs to find the layers that fit on the GPUs
_FAILED_S: Final = 300.0  # before a dry run that failed is repeated


class Estimator:
    """Predicts the memory of loads, and learns from measurements."""

    def __init__(
        self,
        spawner: Spawner,
        measurements: Measurements,
        devices: Devices,
        *,
        deadline_s: float = 30.0,
        module: str = MODULE,
        repacked: frozenset[str] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`deadline_s` limits a dry run, which runs the Python module `module`."""
        self._spawner = spawner
        self._measurements = measurements
        self._devices = devices
        self._deadline_s = deadline_s
        self._module = module
        self._repacked = repacked_here() if repacked is None else repacked
        self._one_at_a_time = asyncio.Lock()
        self._offload: bool | None = None
        self._clock = clock
        self._failed_at: dict[str, float] = {}  # by key: when a dry run failed

    def quick(self, spec: ModelSpec, settings: LoadSettings) -> Need:
        """The best known need: measured, else from an earlier dry run, else from the header. Starts nothing."""
        known = self._measurements.get(self._key(spec, settings))
        return _with_cache(known, settings) if known else self._from_header(spec, settings)

    async def refine(self, spec: ModelSpec, settings: LoadSettings) -> Need:
        """As `quick`, after a dry run in a throw-away child if nothing better than the header is known.

        If the dry run fails, the header's estimate is used for some minutes; `source` and the log say so.
        """
        key = self._key(spec, settings)
        async with self._one_at_a_time:
            if self._measurements.get(key) or self._clock() - self._failed_at.get(key, -_FAILED_S) < _FAILED_S:
                return self.quick(spec, settings)
            report = await self._dry_run(spec, settings)
            if report is None:
                self._failed_at[key] = self._clock()
                return self.quick(spec, settings)
        self._measurements.put(key, from_dry_run(spec.header, settings, report, self._repacked))
        await asyncio.to_thread(self._measurements.save)
        return self.quick(spec, settings)

    async def remember(self, spec: ModelSpec, settings: LoadSettings, measured: Measured) -> Need:
        """Keep what a loaded child uses without adapters and cached prompts; the largest measurement counts."""
        key = self._key(spec, settings)
        before = self._measurements.get(key) or self._from_header(spec, settings)
        after = with_measured(before, measured)
        if before.source == "measured" and after.private <= before.private and not measured.gpus:
            return _with_cache(before, settings)
        self._measurements.put(key, after)
        await asyncio.to_thread(self._measurements.save)
        return _with_cache(after, settings)

    async def placed(self, spec: ModelSpec, settings: LoadSettings, limits: Mapping[str, int]) -> LoadSettings:
        """`settings` with as many GPU layers as fit into `limits` (free bytes by device); 0 without a usable GPU."""
        none = settings.model_copy(update={"gpu_layers": 0})
        layers = fitting_layers(spec.header, settings, limits)
        if not layers or not await self._can_offload(spec, none):
            return none
        for _ in range(_TRIES):
            option = settings.model_copy(update={"gpu_layers": layers})
            need = await self.refine(spec, option)
            over = any(size > limits.get(device, 0) for device, size in need.devices.items() if device != RAM)
            if not over:
                return option
            layers = max(0, layers - max(1, layers // 8))
        return none

    def smaller(self, spec: ModelSpec, settings: LoadSettings, limits: Mapping[str, int]) -> list[str]:
        """What would fit into `limits` (bytes by device) instead, in words with numbers; empty if nothing would."""
        return smaller_settings(spec.header, settings, limits, lambda option: self.quick(spec, option))

    # -- sources ------------------------------------------------------------------------------------------------------

    def _from_header(self, spec: ModelSpec, settings: LoadSettings) -> Need:
        layers = spec.header.layers + 1
        free = {gpu.device: gpu.total - gpu.used for gpu in self._devices.gpus()} if settings.gpu_layers else {}
        places = devices_of_layers(layers, settings.gpu_layers, free)
        return estimate(spec.header, settings, self._repacked, places)

    async def _dry_run(self, spec: ModelSpec, settings: LoadSettings) -> Report | None:
        try:
            report = await dry_run(spec.path, settings, self._spawner, deadline_s=self._deadline_s, module=self._module)
        except DryRunFailed as error:
            _log.warning(
                "the memory %s needs is estimated from its header only, because the dry run failed: %s", spec.id, error
            )
            return None
        self._offload = report.offload
        return report

    async def _can_offload(self, spec: ModelSpec, settings: LoadSettings) -> bool:
        """Whether the installed llama.cpp can use a GPU at all; any dry run reports it."""
        if self._offload is None:
            await self._dry_run(spec, settings)
        return bool(self._offload)

    def _key(self, spec: ModelSpec, settings: LoadSettings) -> str:
        matters = settings.model_dump(exclude={"cache_bytes", "template"})
        matters["context"] = min(settings.context, spec.header.context_length)
        what = [spec.sha256, matters, _version(), sorted(self._repacked)]
        return hashlib.sha256(json.dumps(what, sort_keys=True).encode()).hexdigest()[:32]


def _with_cache(need: Need, settings: LoadSettings) -> Need:
    """The need with the settings' bytes for cached prompts, which no other part depends on."""
    parts = tuple(part for part in need.parts if part.name != "cache")
    wanted = (Part("cache", RAM, settings.cache_bytes),) if settings.cache_bytes else ()
    return replace(need, parts=(*parts, *wanted))


@cache
def _version() -> str:
    try:
        return importlib.metadata.version("llama-cpp-python")
    except importlib.metadata.PackageNotFoundError:
        return "unknown"
