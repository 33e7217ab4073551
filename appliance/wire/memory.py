"""The memory budget, its holders, and the decisions about it."""

from typing import Literal

from pydantic import Field

from appliance.wire.base import Reply


class MemoryPart(Reply):
    """One use of a holder's bytes: weights, mapped, kv, compute, cache, adapters or process."""

    name: str
    device: str
    bytes: int


class MemoryAdapter(Reply):
    """An adapter in a model's process; `leases` counts the requests that use it."""

    id: str
    bytes: int
    leases: int = 0


class MemoryHolder(Reply):
    """A holder of memory: bytes reserved beforehand and measured since; for a process also its id and CPU time.

    `predicted` comes from `source`: `header`, `dry run` or `measured`. `devices` has the bytes counted on each device:
    those predicted, or those measured if more. `idle_seconds` is null while it is in use.
    """

    id: str
    kind: str
    predicted: int
    measured: int | None = None
    pid: int | None = None
    cpu_seconds: float | None = None
    state: Literal["held", "loading", "loaded", "leaving"] = "held"
    version: str = ""
    source: str = ""
    devices: dict[str, int] = Field(default_factory=dict)
    parts: list[MemoryPart] = Field(default_factory=list)
    adapters: list[MemoryAdapter] = Field(default_factory=list)
    pinned: bool = False
    leases: int = 0
    idle_seconds: float | None = None


class MemoryDevice(Reply):
    """The budget, in bytes, of main memory, `ram`, or of a GPU, `gpu0` and so on."""

    device: str
    budget: int
    used: int


class MemoryDecision(Reply):
    """A decision about memory and its reason: `model` is affected, `cause` is the model that needed it.

    `time` is RFC 3339 in UTC; `devices` has the bytes on each device; numbers rise by one.
    """

    number: int
    time: str
    kind: str
    model: str
    why: str
    cause: str = ""
    devices: dict[str, int] = Field(default_factory=dict)


class Memory(Reply):
    """The memory budget in bytes and its holders; `budget` and `used` are those of main memory.

    `pressure` is the percentage of the last ten seconds in which processes waited for memory, null if the kernel does
    not report it; `short` is true while models are evicted early because of it. `decisions` are the newest, oldest
    first.
    """

    budget: int
    used: int
    holders: list[MemoryHolder]
    devices: list[MemoryDevice] = Field(default_factory=list)
    waiting: int = 0
    pressure: float | None = None
    short: bool = False
    last_eviction: MemoryDecision | None = None
    decisions: list[MemoryDecision] = Field(default_factory=list)
