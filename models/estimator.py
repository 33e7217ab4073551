"""What a load needs, known ever better: from the header, from a dry run, from what it was seen to use.

Belongs to the event loop's thread.
"""

from collections.abc import Mapping

from models.catalog import ModelSpec
from models.devices import Devices
from models.estimate import estimate
from models.measurements import Measurements
from models.need import Measured, Need
from models.process import Spawner
from models.protocol import LoadSettings


class Estimator:
    """Predicts the memory of loads, and learns from them."""

    def __init__(self, spawner: Spawner, measurements: Measurements, devices: Devices) -> None:
        self._spawner = spawner
        self._measurements = measurements
        self._devices = devices

    def quick(self, spec: ModelSpec, settings: LoadSettings) -> Need:
        """The best that is known without doing anything: remembered, else from a dry run, else from the header."""
        return estimate(spec.header, settings)

    async def refine(self, spec: ModelSpec, settings: LoadSettings) -> Need:
        """As `quick`, after a dry run in a throw-away child if nothing better than the header is known.

        If the dry run fails, the header's estimate it is, as `source` and the log tell.
        """
        return self.quick(spec, settings)

    async def remember(self, spec: ModelSpec, settings: LoadSettings, measured: Measured) -> Need:
        """Keep what a loaded child really uses, without adapters and cached prompts; the most ever seen counts."""
        return self.quick(spec, settings)

    async def placed(self, spec: ModelSpec, settings: LoadSettings, limits: Mapping[str, int]) -> LoadSettings:
        """`settings` with as many GPU layers as fit into `limits` (free bytes by device); 0 without a usable GPU."""
        return settings.model_copy(update={"gpu_layers": 0})

    def smaller(self, spec: ModelSpec, settings: LoadSettings, limits: Mapping[str, int]) -> list[str]:
        """What would fit into `limits` (bytes by device) instead, in words with numbers; empty if nothing would."""
        return []
