"""Who answers: the model asked for, the configured default, the only one installed, or the extractive answer."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from appliance import wire
from appliance.errors import InvalidRequest
from models.errors import UnknownAdapter, UnknownModel
from models.types import AdapterRef

EXTRACTIVE = "extractive"
DOCENT = "docent"
"""The name of the whole service as a model: whatever answers when none is named."""


class Named(Protocol):
    """Something installed, known by its id."""

    @property
    def id(self) -> str: ...


class Installed(Protocol):
    """What is installed, by id, and for models what providers serve, which `get` alone knows.

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
        """No language model takes part."""
        return self.model == EXTRACTIVE


def choose(request: wire.AskRequest, default: str, models: Installed | None, adapters: Installed | None) -> Route:
    """The route for a request.

    Raises:
        UnknownModel, UnknownAdapter: what was named, or configured as default, is not installed.
        InvalidRequest: adapters were named, but no language model answers.
    """
    asked, named = _asked(request.model)
    model = asked or default or _only(models)
    adapters_asked = [*request.adapters, *(wire.AdapterUse(id=name) for name in named)]
    _check_each_once(adapters_asked)
    for use in adapters_asked:
        if adapters is None:
            raise UnknownAdapter(
                f"adapter {use.id!r}", "no adapters are installed", "`docent adapters list` shows them"
            )
        adapters.get(use.id)
    if model == EXTRACTIVE:
        if adapters_asked:
            raise InvalidRequest(
                "the question",
                "adapters belong to a language model, and the extractive answer has none",
                "name a model, or leave the adapters out",
            )
        return Route(EXTRACTIVE, ())
    if models is None:
        raise UnknownModel(f"model {model!r}", "no models are installed", "`docent models list` shows them")
    try:
        models.get(model)
    except UnknownModel as error:
        if asked:
            raise
        hint = f"it is `models.default` in the settings: mend it there, or name another model; {error.hint}"
        raise UnknownModel(error.what, error.why, hint) from error
    return Route(model, tuple(AdapterRef(use.id, use.scale) for use in adapters_asked))


def _asked(name: str | None) -> tuple[str, list[str]]:
    """Model and adapters of a name such as `MODEL`, `MODEL:ADAPTER` or `docent:MODEL:ADAPTER`; no model: the default."""
    parts = (name or "").split(":")
    if parts[0] == DOCENT:
        parts = parts[1:] or [""]
    return parts[0], parts[1:]


def _check_each_once(uses: Sequence[wire.AdapterUse]) -> None:
    twice = sorted(name for name, count in Counter(use.id for use in uses).items() if count > 1)
    if twice:
        why = f"the adapter {twice[0]} is named twice"
        raise InvalidRequest("the question", why, "name each adapter once, with the scale it is to have")


def order(route: Route, fallback: Sequence[str]) -> Iterator[Route]:
    """Who is tried: the one asked, then the others, each once. Adapters belong to the model that they were named with."""
    yield route
    for name in dict.fromkeys(fallback):
        if name != route.model:
            yield Route(name, ())


def _only(models: Installed | None) -> str:
    installed = models.list() if models is not None else ()
    return installed[0].id if len(installed) == 1 else EXTRACTIVE
