"""Chooses what answers: the requested model, the configured default, the only one installed, or no model. Pure."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from appliance import wire
from appliance.errors import InvalidRequest
from models.errors import UnknownAdapter, UnknownModel
from models.types import AdapterRef

EXTRACTIVE = "extractive"
"""The name of the answer without a language model."""
DOCENT = "docent"
"""The name of the whole service as a model: whatever answers if none is named."""


class Named(Protocol):
    """Something installed, known by its id."""

    @property
    def id(self) -> str: ...


class Installed(Protocol):
    """Installed models or adapters by id; `get` also finds the models of providers, which `list` does not return.

    `get` raises UnknownModel or UnknownAdapter.
    """

    def list(self) -> Sequence[Named]: ...

    def get(self, model_id: str, /) -> object: ...


@dataclass(frozen=True, slots=True)
class Route:
    """The model that answers, or `extractive`, and the adapters it answers with."""

    model: str
    adapters: tuple[AdapterRef, ...]

    @property
    def extractive(self) -> bool:
        """Whether the answer is made without a language model."""
        return self.model == EXTRACTIVE


def choose(request: wire.AskRequest, default: str, models: Installed | None, adapters: Installed | None) -> Route:
    """Choose the route for a request.

    Raises:
        UnknownModel, UnknownAdapter: the requested one, or the configured default, is not installed.
        InvalidRequest: an adapter is named twice, or adapters are named but no language model answers.
    """
    requested, named = _parse(request.model)
    model = requested or default or _only(models)
    uses = [*request.adapters, *(wire.AdapterUse(id=name) for name in named)]
    _check_each_once(uses)
    for use in uses:
        if adapters is None:
            raise UnknownAdapter(
                f"adapter {use.id!r}", "no adapters are installed", "`docent adapters list` shows them"
            )
        adapters.get(use.id)
    if model == EXTRACTIVE:
        if uses:
            raise InvalidRequest(
                "the question",
                "adapters need a language model, and this answer would quote the documents without one",
                "name a model, or leave the adapters out",
            )
        return Route(EXTRACTIVE, ())
    if models is None:
        raise UnknownModel(f"model {model!r}", "no models are installed", "`docent models list` shows them")
    try:
        models.get(model)
    except UnknownModel as error:
        if requested:
            raise
        hint = f"correct `models.default` in the settings, or name another model; {error.hint}"
        raise UnknownModel(error.what, error.why, hint) from error
    return Route(model, tuple(AdapterRef(use.id, use.scale) for use in uses))


def order(route: Route, fallback: Sequence[str]) -> Iterator[Route]:
    """Yield the routes to try: the chosen one, then each other of `fallback` once.

    Fallbacks get no adapters: those belong to the model they were named with.
    """
    yield route
    for name in dict.fromkeys(fallback):
        if name != route.model:
            yield Route(name, ())


def _parse(name: str | None) -> tuple[str, list[str]]:
    """Split `MODEL`, `MODEL:ADAPTER` or `docent:MODEL:ADAPTER` into model and adapters; "" is the default model."""
    parts = (name or "").split(":")
    if parts[0] == DOCENT:
        parts = parts[1:] or [""]
    return parts[0], parts[1:]


def _check_each_once(uses: Sequence[wire.AdapterUse]) -> None:
    twice = sorted(name for name, count in Counter(use.id for use in uses).items() if count > 1)
    if twice:
        why = f"the adapter {twice[0]} is named twice"
        raise InvalidRequest("the question", why, "name each adapter once, with its scale")


def _only(models: Installed | None) -> str:
    installed = models.list() if models is not None else ()
    return installed[0].id if len(installed) == 1 else EXTRACTIVE
