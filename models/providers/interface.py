"""What a provider is: its settings, what it is asked, and what comes back piece by piece.

Rule: an `Upstream` only speaks with its end; time limits, the circuit breaker and the amount of text are `Remote`'s.
Whatever an upstream raises is a ModelError, and what it yields has been checked.
"""

from collections.abc import AsyncGenerator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, Protocol

from models.providers.request_checks import Schema
from models.types import ChatMessage, Sampling, Usage

ProviderKind = Literal["ollama", "openai", "transformers"]
FinishReason = Literal["stop", "length"]


@dataclass(frozen=True, slots=True)
class Timeouts:
    """Longest waits, in seconds: for a connection, for the first token, between tokens, for the whole answer."""

    connect_s: float = 5.0
    first_token_s: float = 60.0
    token_s: float = 30.0
    answer_s: float = 600.0


@dataclass(frozen=True, slots=True)
class BreakerLimits:
    """When a provider is left alone; see `breaker`. `slow_s` 0 passes over slowness."""

    window_s: float = 60.0
    min_calls: int = 5
    failure_rate: float = 0.5
    slow_s: float = 0.0
    open_s: float = 30.0
    probes: int = 1


@dataclass(frozen=True, slots=True)
class ProviderSpec:
    """One configured provider. `model` is its name at the remote end, or a folder; `context` the most tokens used."""

    id: str
    kind: ProviderKind
    model: str
    socket: Path | None = None
    url: str = ""
    context: int = 8192
    api_key: str = field(default="", repr=False)
    timeouts: Timeouts = Timeouts()
    breaker: BreakerLimits = BreakerLimits()

    @property
    def place(self) -> str:
        """Where it is, for a person."""
        return str(self.socket) if self.socket else self.url or self.model


@dataclass(frozen=True, slots=True)
class Job:
    """One generation: from messages, or from a raw prompt; all text in it is Unicode."""

    sampling: Sampling
    messages: tuple[ChatMessage, ...] = ()
    prompt: str | None = None
    max_tokens: int | None = None
    stop: tuple[str, ...] = ()
    json_schema: Schema | None = None

    @property
    def texts(self) -> tuple[str, ...]:
        """Everything that the prompt is made of."""
        return (self.prompt,) if self.prompt is not None else tuple(one.content for one in self.messages)


@dataclass(frozen=True, slots=True)
class Delta:
    """A step of an answer. `thinking` is progress that gives no text; `over` says that nothing follows."""

    text: str = ""
    thinking: bool = False
    finish: FinishReason | None = None
    usage: Usage | None = None
    over: bool = False


class Upstream(Protocol):
    """One end that generates."""

    async def context(self) -> int:
        """The most tokens of prompt and answer that it takes; asked of the end where it tells. Raises ModelError."""
        ...

    def stream(self, job: Job, context: int) -> AsyncGenerator[Delta, None]:
        """The answer's steps; closing it ends the work at the other end. Raises ModelError."""
        ...

    async def aclose(self) -> None:
        """Close its connections."""
        ...
