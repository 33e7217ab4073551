"""How models are loaded, and the time limits: for all models, and overridden for one. Values only."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Final

from models.types import KvType, LoadSettings, Sampling

AUTOMATIC: Final = -1


@dataclass(frozen=True, slots=True)
class ModelOptions:
    """Overrides for one model; None takes the default. `template` is a chat template's text, `idle_s` 0 never unloads.

    `sampling` has values for the fields of `Sampling` that a request leaves open.
    """

    context: int | None = None
    threads: int | None = None
    parallel: int | None = None
    batch: int | None = None
    kv_type: KvType | None = None
    flash_attention: bool | None = None
    gpu_layers: int | None = None
    idle_s: float | None = None
    template: str | None = None
    sampling: Mapping[str, float] = field(default_factory=dict)


_AS_FOR_ALL: Final = ModelOptions()


@dataclass(frozen=True, slots=True)
class ModelDefaults:
    """How all models are loaded; times in seconds, sizes in bytes.

    `idle_s` None or 0 never unloads. `batch`: CPUs process 128 tokens at a time as fast as 512, in a quarter of the
    memory, and a new or cancelled request waits a quarter of the time. `gpu_layers` AUTOMATIC takes as many as fit.
    `cache_bytes` is for the KV of earlier prompts in each child; it is 0 where it would keep a model from fitting.
    """

    context: int = 4096
    threads: int = 2
    parallel: int = 4
    batch: int = 128
    kv_type: KvType = "f16"
    flash_attention: bool = True
    gpu_layers: int = AUTOMATIC
    cache_bytes: int = 0
    idle_s: float | None = 1800.0
    wait_s: float = 120.0
    load_s: float = 300.0
    stall_s: float = 60.0
    watch_s: float = 1.0
    measure_s: float = 5.0
    queue: int = 64
    preload: tuple[str, ...] = ()
    models: Mapping[str, ModelOptions] = field(default_factory=dict)

    def of(self, model_id: str) -> ModelOptions:
        """The overrides for this model."""
        return self.models.get(model_id, _AS_FOR_ALL)

    def settings(self, model_id: str = "") -> LoadSettings:
        """The settings to load it with. Where GPU layers are automatic they are 0 here, to be placed later."""
        own = self.of(model_id)
        layers = self.gpu_layers if own.gpu_layers is None else own.gpu_layers
        return LoadSettings(
            context=own.context or self.context,
            parallel=own.parallel or self.parallel,
            batch=own.batch or self.batch,
            threads=own.threads or self.threads,
            kv_type=own.kv_type or self.kv_type,
            flash_attention=self.flash_attention if own.flash_attention is None else own.flash_attention,
            gpu_layers=max(0, layers),
            cache_bytes=self.cache_bytes,
            template=own.template,
        )

    def automatic_layers(self, model_id: str) -> bool:
        """Whether as many layers as fit go on GPUs."""
        own = self.of(model_id).gpu_layers
        return (self.gpu_layers if own is None else own) < 0

    def idle_of(self, model_id: str) -> float | None:
        """The idle seconds after which it is unloaded; None or 0 is never."""
        own = self.of(model_id).idle_s
        return self.idle_s if own is None else own

    def sampling(self, model_id: str, asked: Sampling, left_open: Collection[str]) -> Sampling:
        """`asked`, with the model's configured values in the fields that were left open."""
        own = {key: value for key, value in self.of(model_id).sampling.items() if key in left_open}
        return Sampling.model_validate(asked.model_dump(exclude_unset=True) | own) if own else asked


STANDARD: Final = ModelDefaults()
