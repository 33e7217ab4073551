"""The answer of a dry run's child. The request is `messages.Load`."""

import struct
from typing import Final

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from models.child_process.messages import ProtocolError

MAX_REPORT: Final = 1 << 20  # bytes
_LENGTH: Final = struct.Struct(">I")


class Sizes(BaseModel):
    """The memory of a load, by llama.cpp's names of devices (`CPU`, `CUDA0`) and buffers (`CPU_REPACK`, `CUDA_Host`).

    `layers`: the device of each layer's weights, the output's last. `repacks`: llama.cpp rearranges some weights. `moved`:
    the number of tensors that cannot be in llama.cpp's preferred buffer, 0 if the log has none. `kv` in bytes by device;
    `state` (of recurrent layers), `compute` and `output` in bytes by buffer.
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
    """The memory of a load, or `why` it is not known.

    In bytes: `baseline` is the child's memory before llama.cpp did anything, `process` its memory afterwards, when it has
    everything that a loaded child has except the buffers. `offload`: this llama.cpp can use a GPU.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    sizes: Sizes | None = None
    why: str = Field(default="", max_length=4096)
    baseline: int = Field(default=0, ge=0)
    process: int = Field(default=0, ge=0)
    offload: bool = False


def encode_report(report: Report) -> bytes:
    """Returns one frame: a big-endian length and JSON."""
    body = report.model_dump_json().encode()
    return _LENGTH.pack(len(body)) + body


def decode_report(body: bytes) -> Report:
    """Raises ProtocolError if the body is not a report."""
    try:
        return Report.model_validate_json(body)
    except ValidationError as error:
        raise ProtocolError(f"not a report: {error.errors(include_url=False, include_input=False)}") from error
