"""Defines what a provider is: its settings, a generation job, the steps of an answer, and the `Upstream` protocol.

Rule: an `Upstream` only talks to its server; deadlines, the circuit breaker and limits on text are in `Remote`. An
upstream raises only ModelErrors and yields only what it has checked.
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
    """The longest waits in seconds: for a connection, the first token, each further token, the whole answer."""

    connect_s: float = 5.0
    first_token_s: float = 60.0
    token_s: float = 30.0
    answer_s: float = 600.0


@dataclass(frozen=True, slots=True)
class BreakerLimits:
    """When the circuit breaker opens and closes: see `circuit_breaker`. `slow_s` 0 ignores slowness."""

    window_s: float = 60.0
    min_calls: int = 5
    failure_rate: float = 0.5
    slow_s: float = 0.0
    open_s: float = 30.0
    probes: int = 1


@dataclass(frozen=True, slots=True)
class ProviderSpec:
    """One configured provider. `model` is its name on the server, or a folder; `context` the most tokens used."""

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
        """Its address for messages: socket, URL or folder."""
        return str(self.socket) if self.socket else self.url or self.model


@dataclass(frozen=True, slots=True)
class Job:
    """One generation, from messages or from a raw prompt. All its text can be encoded as UTF-8."""

    sampling: Sampling
    messages: tuple[ChatMessage, ...] = ()
    prompt: str | None = None
    max_tokens: int | None = None
    stop: tuple[str, ...] = ()
    json_schema: Schema | None = None

    @property
    def texts(self) -> tuple[str, ...]:
        """The texts that the prompt is made from."""
        return (self.prompt,) if self.prompt is not None else tuple(one.content for one in self.messages)


@dataclass(frozen=True, slots=True)
class Delta:
    """A step of an answer. `thinking` is progress without text; after `over` nothing follows."""

    text: str = ""
    thinking: bool = False
    finish: FinishReason | None = None
    usage: Usage | None = None
    over: bool = False


class Upstream(Protocol):
    """One model on a server, or in a folder."""

    async def context(self) -> int:
        """The most tokens of prompt and answer, as configured and as the server reports. Raises ModelError."""
        ...

    def stream(self, job: Job, context: int) -> AsyncGenerator[Delta, None]:
        """The steps of an answer; closing the generator ends the work on the server. Raises ModelError."""
        ...

    async def aclose(self) -> None:
        """Close the connections."""
        ...
