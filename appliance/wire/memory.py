"""The memory budget: who holds what, and what was decided about it."""

from typing import Literal

from pydantic import Field

from appliance.wire.base import Reply


class MemoryPart(Reply):
    """What part of a holder's bytes is for: weights, mapped, kv, compute, cache, adapters or process."""

    name: str
    device: str
    bytes: int


class MemoryAdapter(Reply):
    """An adapter in a model's process, and how many requests use it."""

    id: str
    bytes: int
    leases: int = 0


class MemoryHolder(Reply):
    """Who holds memory: bytes reserved beforehand and measured since; of a process also its id and its CPU time.

    `predicted` is known from `source`: `header`, `dry run` or `measured`. `devices` is what counts on each device: what was
    predicted, or what was measured if that is more. `idle_seconds` is null while it is in use.
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
    """The budget of main memory, `ram`, or of a GPU, `gpu0` and so on."""

    device: str
    budget: int
    used: int


class MemoryDecision(Reply):
    """What was decided about memory, and why: `model` is whom it is about, `cause` the model for which it was done.

    `time` is RFC 3339 in UTC; `devices` are the bytes it is about; numbers rise by one.
    """

    number: int
    time: str
    kind: str
    model: str
    why: str
    cause: str = ""
    devices: dict[str, int] = Field(default_factory=dict)


class Memory(Reply):
    """The memory budget in bytes and who holds what; `budget` and `used` are those of main memory.

    `pressure` is the per cent of the last ten seconds in which processes waited for memory, null where the kernel does
    not tell; `short` whether models leave early because of it. `decisions` are the newest, oldest first.
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
