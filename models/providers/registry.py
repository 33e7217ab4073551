"""Finds a model by its name, on this machine or among the configured providers.

Rule: a model on this machine is never replaced by a provider of the same name, because its user relies on nothing
leaving the machine; such a provider is shown as failed.
"""

import time
from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from types import TracebackType
from typing import Literal, Protocol, Self

from models.adapters.catalog import AdapterCatalog
from models.catalog.catalog import Catalog, ModelSpec
from models.errors import NotSupported, UnknownModel
from models.providers.interface import ProviderSpec, Upstream
from models.providers.ollama import OllamaUpstream
from models.providers.openai import OpenAIUpstream
from models.providers.remote import Remote, RemoteLease
from models.residency.lease import Lease
from models.residency.manager import Manager
from models.types import AdapterRef

AnyLease = Lease | RemoteLease


@dataclass(frozen=True, slots=True)
class ProviderState:
    """A configured provider; `failed` with the reason while its circuit breaker is not closed.

    `answers` is False where a model on this machine has its name.
    """

    spec: ProviderSpec
    state: Literal["installed", "failed"]
    reason: str | None = None
    answers: bool = True


class Names(Protocol):
    """The names that requests may use."""

    def list(self) -> Sequence[ModelSpec]: ...

    def get(self, model_id: str, /) -> ModelSpec | ProviderSpec: ...


def upstream_of(spec: ProviderSpec) -> Upstream:
    """The upstream for a provider's kind."""
    if spec.kind == "ollama":
        return OllamaUpstream(spec)
    if spec.kind == "openai":
        return OpenAIUpstream(spec)
    from models.providers.transformers import TransformersUpstream  # imports torch, so only where it is configured

    return TransformersUpstream(spec)


class Providers:
    """Leases local models and providers alike. An async context manager that closes the connections at its end."""

    def __init__(
        self,
        manager: Manager,
        specs: Sequence[ProviderSpec] = (),
        *,
        clock: Callable[[], float] = time.monotonic,
        connect: Callable[[ProviderSpec], Upstream] = upstream_of,
    ) -> None:
        self._manager = manager
        self._remotes = {spec.id: Remote(spec, connect(spec), clock) for spec in specs}

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None
    ) -> None:
        for remote in self._remotes.values():
            await remote.aclose()

    @property
    def catalog(self) -> Names:
        """The usable names: `list` has the models on this machine only, `get` finds both."""
        return _Names(self)

    @property
    def adapters(self) -> AdapterCatalog:
        """The installed adapters."""
        return self._manager.adapters

    def check(self, model_id: str, adapters: Sequence[AdapterRef]) -> None:
        """Raises NotSupported for adapters with a provider."""
        if adapters and model_id in self._reachable():
            raise NotSupported(
                f"using the adapter {adapters[0].id} with the provider {model_id}",
                "adapters belong to models on this machine",
                "leave the adapters out, or name a model that is installed here",
            )

    def lease(
        self, model_id: str, adapters: Sequence[AdapterRef] = (), *, wait_s: float | None = None
    ) -> AbstractAsyncContextManager[AnyLease]:
        """Lease the model or provider of this name for the block.

        Raises NotSupported as `check` does, and on entering the block as `Manager.lease` and `Remote.lease` do.
        """
        self.check(model_id, adapters)
        if remote := self._reachable().get(model_id):
            return remote.lease()
        return self._manager.lease(model_id, adapters, wait_s=wait_s)

    def list(self) -> tuple[ProviderState, ...]:
        """The configured providers, by name."""
        return tuple(self._state(self._remotes[name]) for name in sorted(self._remotes))

    def get(self, name: str) -> ProviderState:
        """Raises UnknownModel."""
        if name not in self._remotes:
            known = ", ".join(sorted(self._remotes)) or "none"
            raise UnknownModel(f"provider {name!r}", "no provider of this name is configured", f"configured: {known}")
        return self._state(self._remotes[name])

    def find(self, model_id: str) -> ModelSpec | ProviderSpec:
        """The model or provider of this name. Raises UnknownModel."""
        remote = self._reachable().get(model_id)
        return remote.spec if remote else self._manager.catalog.get(model_id)

    @property
    def local(self) -> Catalog:
        """The models on this machine."""
        return self._manager.catalog

    def _reachable(self) -> dict[str, Remote]:
        if not self._remotes:
            return {}
        taken = self._taken()
        return {name: remote for name, remote in self._remotes.items() if name not in taken}

    def _taken(self) -> set[str]:
        catalog = self._manager.catalog
        here = {spec.id for spec in catalog.list()} | {problem.id for problem in catalog.damaged()}
        return here | set(catalog.others)

    def _state(self, remote: Remote) -> ProviderState:
        if remote.spec.id in self._taken():
            why = "a model on this machine has the same name, and it answers"
            return ProviderState(remote.spec, "failed", why, answers=False)
        if remote.breaker.state == "closed":
            return ProviderState(remote.spec, "installed")
        return ProviderState(remote.spec, "failed", remote.breaker.reason)


class _Names:
    def __init__(self, providers: Providers) -> None:
        self._providers = providers

    def list(self) -> Sequence[ModelSpec]:
        return self._providers.local.list()

    def get(self, model_id: str, /) -> ModelSpec | ProviderSpec:
        return self._providers.find(model_id)
