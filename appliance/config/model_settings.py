"""The tables `[model.ID]` of the settings: overrides for one model. Their keys are the fields below."""

from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationInfo

from appliance.config.provider_settings import Name, names

KvType = Literal["f32", "f16", "q8_0", "q4_0"]


def _allowed_with_cache(flash: bool | None, info: ValidationInfo) -> bool | None:
    """llama.cpp reads a quantised KV cache only with flash attention."""
    kind = info.data.get("kv_type")
    if flash is False and kind in ("q8_0", "q4_0"):
        raise ValueError(f"a KV cache of type {kind} needs flash attention")
    return flash


FlashAttention = Annotated[bool, AfterValidator(_allowed_with_cache)]
"""Must be declared after `kv_type`, which its validator reads."""

ModelNames = Annotated[tuple[Name, ...], BeforeValidator(names)]


def _text(path: str) -> str:
    if "\0" in path or not path.strip():
        raise ValueError("a file name is required")
    return path


class OwnModelSettings(BaseModel):
    """One model's own settings; a key that is left out follows `[models]`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    context: int | None = Field(None, ge=256, le=1 << 20, description="context in tokens, at most the model's own")
    kv_type: KvType | None = Field(None, description="type of the KV cache: f32, f16, q8_0 or q4_0")
    flash_attention: FlashAttention | None = Field(
        None, description="faster with parallel requests; off: rounding depends less on them"
    )
    threads: int | None = Field(None, ge=1, le=256, description="threads of its process")
    batch: int | None = Field(None, ge=16, le=8192, description="prompt tokens processed in one step")
    parallel: int | None = Field(None, ge=1, le=64, description="requests answered at the same time")
    gpu_layers: int | None = Field(None, ge=-1, le=10_000, description="layers on the GPU; -1: as many as fit")
    idle_seconds: float | None = Field(None, ge=0, description="unloaded when idle for this long; 0: never")
    template: Annotated[str, AfterValidator(_text)] | None = Field(
        None, description="file with a Jinja chat template, used instead of the model's own; relative to this file"
    )
    temperature: float | None = Field(None, ge=0, le=2, description="sampling temperature if a request names none")
    top_p: float | None = Field(None, gt=0, le=1, description="top_p if a request names none")
    top_k: int | None = Field(None, ge=0, lt=2**31, description="top_k if a request names none; 0: all tokens")
    min_p: float | None = Field(None, ge=0, le=1, description="min_p if a request names none")
    repeat_penalty: float | None = Field(None, gt=0, le=10, description="repeat_penalty if a request names none")


SAMPLING_KEYS = ("temperature", "top_p", "top_k", "min_p", "repeat_penalty")
"""The keys about sampling, named as in a request."""
