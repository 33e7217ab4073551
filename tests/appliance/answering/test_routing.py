"""The model that answers follows from the request, the settings, and what is installed."""

from dataclasses import dataclass

import pytest

from appliance import wire
from appliance.answering.routing import Route, choose
from appliance.errors import InvalidRequest
from models.errors import UnknownAdapter, UnknownModel
from models.types import AdapterRef


@dataclass
class One:
    id: str


class Installed:
    def __init__(self, *ids: str, error: type[Exception] = UnknownModel) -> None:
        self._ids = ids
        self._error = error

    def list(self) -> list[One]:
        return [One(name) for name in self._ids]

    def get(self, name: str, /) -> One:
        if name not in self._ids:
            raise self._error(f"using {name!r}", "it is not installed", f"installed: {', '.join(self._ids)}")
        return One(name)


MODELS, ADAPTERS = Installed("big", "small"), Installed("tone", "terse", error=UnknownAdapter)


def route(model: str | None = None, *adapters: str, default: str = "") -> Route:
    uses = [wire.AdapterUse(id=name) for name in adapters]
    return choose(wire.AskRequest(question="why?", model=model, adapters=uses), default, MODELS, ADAPTERS)


@pytest.mark.parametrize("name", ["big:tone", "docent:big:tone"])
def test_an_adapter_may_be_part_of_the_model_name(name: str) -> None:
    assert route(name) == Route("big", (AdapterRef("tone", 1.0),))
    with pytest.raises(UnknownAdapter):
        route("big:ghost")


def test_an_unknown_default_says_that_it_comes_from_the_settings() -> None:
    with pytest.raises(UnknownModel) as raised:
        route(default="ghost")
    assert raised.value.hint.startswith("correct `models.default` in the settings")
    with pytest.raises(UnknownModel) as raised:
        route("ghost", default="big")
    assert "models.default" not in raised.value.hint


def test_an_adapter_named_twice_is_refused() -> None:
    for given in (("big", "tone", "tone"), ("big:tone", "tone")):
        with pytest.raises(InvalidRequest, match="tone is named twice"):
            route(*given)
