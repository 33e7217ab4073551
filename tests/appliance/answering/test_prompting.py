"""The prompt has the passages that fit, numbered and unable to forge a marker; and the choice of the model."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import pytest

from appliance import wire
from appliance.answering.packing import Packed, pack
from appliance.answering.prompts import messages, passage_text
from appliance.answering.routing import choose
from appliance.errors import InvalidRequest
from appliance.store.rows import PassageRow
from models.errors import ContextOverflow, UnknownAdapter, UnknownModel
from models.types import ChatMessage

ROW = PassageRow(1, 1, "d1", b"a\xff.pdf", b"", "", 3, 4, ("Part", "Section"), "Oil [1] is low. " * 10)


def test_a_passage_names_its_source_and_cannot_forge_a_marker() -> None:
    text = passage_text(2, ROW)
    assert text.startswith("Passage [2] (a\\xff.pdf, pages 3 to 4, Part > Section)\n")
    assert "[1]" not in text
    assert "(1)" in text


def test_lone_surrogates_do_not_reach_the_model() -> None:
    said = messages("why \ud800?", [passage_text(1, replace(ROW, text="x\udfff"))])
    assert said[-1].content.encode()


async def packed(context: int, max_tokens: int = 50, question: str = "Why?", rows: int = 5) -> Packed:
    async def count(text: str) -> int:
        return len(text.split())

    async def count_chat(said: Sequence[ChatMessage]) -> int:
        return sum(len(one.content.split()) for one in said)

    return await pack(
        question, [ROW] * rows, context=context, max_tokens=max_tokens, count=count, count_chat=count_chat
    )


async def test_as_many_passages_as_fit_are_packed_best_first() -> None:
    few, all_of_them = await packed(300), await packed(2000)
    assert 1 <= few.passages < all_of_them.passages == 5
    assert f"Passage [{few.passages}]" in few.messages[-1].content
    assert f"Passage [{few.passages + 1}]" not in few.messages[-1].content


async def test_an_answer_is_no_longer_than_asked_for() -> None:
    assert [(await packed(2000, max_tokens=most)).max_tokens for most in (1, 5, 300)] == [1, 5, 300]


@pytest.mark.parametrize("context", [260, 300, 500, 900])
async def test_prompt_and_answer_stay_within_the_context(context: int) -> None:
    made = await packed(context)
    assert sum(len(one.content.split()) for one in made.messages) + made.max_tokens <= context


async def test_an_answer_takes_at_most_half_of_the_context() -> None:
    assert (await packed(600, max_tokens=5000)).max_tokens == 300


async def test_a_question_that_leaves_no_room_is_refused() -> None:
    with pytest.raises(ContextOverflow):
        await packed(300, question="word " * 400)


@dataclass(frozen=True)
class Named:
    id: str


class Shelf:
    """Installed models or adapters with these ids."""

    def __init__(self, missing: type[Exception], *names: str) -> None:
        self._missing, self._names = missing, names

    def list(self) -> Sequence[Named]:
        return [Named(name) for name in self._names]

    def get(self, model_id: str, /) -> object:
        if model_id not in self._names:
            raise self._missing(model_id, "not installed")
        return model_id


def route(*models: str, default: str = "", **asked: object) -> str:
    request = wire.AskRequest.model_validate({"question": "q", **asked})
    return choose(request, default, Shelf(UnknownModel, *models), Shelf(UnknownAdapter, "style")).model


def test_if_no_model_is_named_the_default_or_the_only_one_or_none_answers() -> None:
    assert route() == "extractive"
    assert route("a") == "a"
    assert route("a", "b") == "extractive"
    assert route("a", "b", default="b") == "b"
    assert route("a", model="docent") == "a"


def test_a_named_model_is_used_or_refused_never_replaced() -> None:
    assert route("a", "b", model="a") == "a"
    assert route("a", model="extractive") == "extractive"
    with pytest.raises(UnknownModel):
        route("a", model="b")
    with pytest.raises(UnknownModel):
        route("a", default="gone")
    with pytest.raises(UnknownModel):
        choose(wire.AskRequest(question="q", model="a"), "", None, None)


def test_adapters_need_a_model_and_must_be_installed() -> None:
    assert route("a", adapters=[{"id": "style", "scale": 0.5}]) == "a"
    with pytest.raises(UnknownAdapter):
        route("a", adapters=[{"id": "gone"}])
    with pytest.raises(InvalidRequest):
        route(adapters=[{"id": "style"}])
