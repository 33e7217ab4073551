"""What the child of a dry run answers. Values only; the request is the protocol's `Load`."""

import struct
from typing import Final

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from models.child_process.messages import ProtocolError

MAX_REPORT: Final = 1 << 20
_LENGTH: Final = struct.Struct(">I")


class Sizes(BaseModel):
    """What a load would take, by llama.cpp's names of devices (`CPU`, `CUDA0`) and buffers (`CPU_REPACK`, `CUDA_Host`).

    `layers`: where each layer's weights go, the output's last. `unmoved`: how many of the tensors go where llama.cpp would
    like them best; None if it is not told. `kv` in bytes by device; `state` (of recurrent layers), `compute` and `output`
    in bytes by buffer.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    layers: tuple[str, ...] = Field(min_length=1)
    repacks: bool
    moved: int = Field(ge=0)
    kv: dict[str, int]
    state: dict[str, int]
    compute: dict[str, int] = Field(min_length=1)
    output: dict[str, int] = Field(min_length=1)


class Report(BaseModel):
    """What a load would take, or `why` that is not known.

    `baseline` is what the process used before llama.cpp did anything, `process` what it used afterwards, in bytes: it then
    had all that a loaded child has but the buffers. `offload`: this llama.cpp can use a GPU.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    sizes: Sizes | None = None
    why: str = Field(default="", max_length=4096)
    baseline: int = Field(default=0, ge=0)
    process: int = Field(default=0, ge=0)
    offload: bool = False


def encode_report(report: Report) -> bytes:
    """One frame: a big-endian length and JSON."""
    body = report.model_dump_json().encode()
    return _LENGTH.pack(len(body)) + body


def decode_report(body: bytes) -> Report:
    """Raises ProtocolError if it is none."""
    try:
        return Report.model_validate_json(body)
    except ValidationError as error:
        raise ProtocolError(f"not a report: {error.errors(include_url=False, include_input=False)}") from error
