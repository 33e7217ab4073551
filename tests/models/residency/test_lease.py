"""The options of a generation: grammar, schema, logprobs, penalties, dropped turns. With real llama.cpp."""

import asyncio
import json
import math
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import pytest

from models.adapters.catalog import AdapterCatalog
from models.catalog.catalog import Catalog
from models.errors import ContextOverflow, InvalidPrompt
from models.residency.lease import Generation, Lease
from models.residency.manager import Manager
from models.residency.options import ModelDefaults
from models.types import ChatMessage, FinalPiece, GenerationRequest, Sampling, TextPiece, TokenLogprob
from tests.gguf_builder import Shape, write_model
from tests.models.worker.grammar.malformed import MALFORMED

PUMP = "the pump is not open the valve is closed"
A = 3 + ord("A")  # the token of this byte
FAVOURS_A = Sampling(logit_bias=((A, 1000.0),))
SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {
        "pump": {"enum": ["open", "closed"]},
        "bar": {"type": "integer", "minimum": 1, "maximum": 12},
        "pages": {"type": "array", "items": {"type": "integer", "minimum": 0, "maximum": 99}, "maxItems": 3},
    },
    "required": ["pump", "bar", "pages"],
    "additionalProperties": False,
}


Use = Callable[[Callable[[Lease], Awaitable[None]]], None]


@pytest.fixture(scope="module")
def with_lease(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Use]:
    """Runs a function with a lease of one tiny model, loaded once for all tests."""
    home = tmp_path_factory.mktemp("home")
    Catalog(home / "models").import_gguf(write_model(home / "m.gguf", shape=Shape(context=2048), seed=3))
    manager = Manager(
        Catalog(home / "models"),
        AdapterCatalog(home / "adapters"),
        budget_bytes=1 << 30,
        defaults=ModelDefaults(context=512, threads=1),
    )

    async def run(use: Callable[[Lease], Awaitable[None]]) -> None:
        async with manager.lease("m") as lease:
            await use(lease)

    with asyncio.Runner() as runner:
        runner.run(manager.__aenter__())
        yield lambda use: runner.run(run(use))
        runner.run(manager.close())


async def whole(generation: Generation) -> tuple[str, list[TokenLogprob], FinalPiece]:
    text, logprobs = "", []
    async for piece in generation:
        match piece:
            case TextPiece():
                text += piece.text
                logprobs += piece.logprobs
            case FinalPiece():
                return text, logprobs, piece
    raise AssertionError("no end")


def test_random_weights_follow_a_schema_at_any_temperature(with_lease: Use) -> None:
    async def use(lease: Lease) -> None:
        for seed in range(12):
            sampling = Sampling(temperature=seed / 4, seed=seed, top_k=seed % 3 * 20)
            text, _, end = await whole(
                lease.generate(
                    GenerationRequest(prompt=PUMP, sampling=sampling, json_schema=json.dumps(SCHEMA), max_tokens=400)
                )
            )
            made = json.loads(text)
            assert end.finish_reason == "stop"
            assert made["pump"] in ("open", "closed")
            assert 1 <= made["bar"] <= 12
            assert len(made["pages"]) <= 3

    with_lease(use)


def test_a_grammar_ends_the_answer_and_can_require_any_character(with_lease: Use) -> None:
    async def use(lease: Lease) -> None:
        text, logprobs, end = await whole(
            lease.generate(GenerationRequest(prompt=PUMP, grammar='root ::= "é€" [a-c]{3} "漢😀"', logprobs=2))
        )
        assert (text[:2], text[5:], len(text)) == ("é€", "漢😀", 7)
        assert end.finish_reason == "stop"
        assert b"".join(one.data.encode("latin-1") for one in logprobs).decode() == text
        assert end.usage.completion_tokens == len(logprobs)

    with_lease(use)


@pytest.mark.parametrize(
    ("grammar", "why"),
    [
        ('root ::= "a', "not closed"),
        ("root ::= x", "not defined"),
        ('root ::= a root "y" | "z"\na ::= b b\nb ::= "" | "x"', "begin with itself"),
        ("root ::= " + "(" * 90_000 + '"a"' + ")" * 90_000, "nested"),
        ("root ::= x\n" + 'x ::= "t" (x "b" | x "c") | "t" x', "no text"),
        ('root ::= "t" "t"{0,100000}', "100000"),
        ('root ::= x\nx ::= "A" (x "b" | x "c") | "A" "d"', "ambiguous"),
    ],
)
def test_a_grammar_that_would_crash_or_hang_the_process_fails_its_own_request_only(
    with_lease: Use, grammar: str, why: str
) -> None:
    async def use(lease: Lease) -> None:
        beside = asyncio.create_task(whole(lease.generate(GenerationRequest(prompt=PUMP, max_tokens=40))))
        with pytest.raises(InvalidPrompt, match=why):
            await whole(lease.generate(GenerationRequest(prompt=PUMP, grammar=grammar, max_tokens=100)))
        assert (await beside)[2].usage.completion_tokens >= 1

    with_lease(use)


@pytest.mark.parametrize(
    ("schema", "why"),
    [
        ({"enum": []}, "no text can satisfy"),
        ({"type": "array", "minItems": 3, "maxItems": 2}, "no text can satisfy"),
        ({"$ref": "https://example.com/schema"}, "within the schema"),
        ({"type": "string", "pattern": "^a+$"}, "'pattern' is not supported"),
        ({"type": "number", "minimum": 3}, "minimum is not supported for number"),
        ("nonsense", "a schema must be an object"),
    ],
)
def test_a_schema_that_cannot_be_enforced_is_refused_with_the_reason(with_lease: Use, schema: object, why: str) -> None:
    async def use(lease: Lease) -> None:
        with pytest.raises(InvalidPrompt, match=why):
            await whole(lease.generate(GenerationRequest(prompt=PUMP, json_schema=json.dumps(schema))))

    with_lease(use)


def test_no_schema_crashes_the_process_that_answers_others(with_lease: Use) -> None:
    async def use(lease: Lease) -> None:
        beside = lease.generate(GenerationRequest(prompt=PUMP, max_tokens=470, sampling=FAVOURS_A))
        await anext(beside)
        for schema in MALFORMED.values():
            with pytest.raises(InvalidPrompt):
                await whole(lease.generate(GenerationRequest(prompt=PUMP, json_schema=schema, max_tokens=1)))
        assert (await whole(beside))[2].usage.completion_tokens == 470

    with_lease(use)


def test_logprobs_are_those_of_the_model_and_the_greedy_choice_is_the_likeliest(with_lease: Use) -> None:
    async def use(lease: Lease) -> None:
        text, logprobs, end = await whole(lease.generate(GenerationRequest(prompt=PUMP, max_tokens=20, logprobs=5)))
        assert len(logprobs) == end.usage.completion_tokens
        assert b"".join(one.data.encode("latin-1") for one in logprobs).decode("utf-8", "replace") == text
        for one in logprobs:
            assert len(one.top) == 5
            assert one.top[0] == (one.data, one.logprob)
            assert sorted((chance for _, chance in one.top), reverse=True) == [chance for _, chance in one.top]
            assert sum(math.exp(chance) for _, chance in one.top) <= 1.0
        plain, none, _ = await whole(lease.generate(GenerationRequest(prompt=PUMP, max_tokens=20)))
        assert (plain, none) == (text, [])

    with_lease(use)


def test_a_bias_and_a_penalty_change_the_answer(with_lease: Use) -> None:
    async def use(lease: Lease) -> None:
        plain, _, _ = await whole(lease.generate(GenerationRequest(prompt=PUMP, max_tokens=24)))
        penalised, _, _ = await whole(
            lease.generate(
                GenerationRequest(
                    prompt=PUMP, max_tokens=24, sampling=Sampling(repeat_penalty=10.0, frequency_penalty=2.0)
                )
            )
        )
        assert plain != penalised
        forced, _, _ = await whole(lease.generate(GenerationRequest(prompt=PUMP, max_tokens=5, sampling=FAVOURS_A)))
        assert forced == "AAAAA"
        with pytest.raises(InvalidPrompt, match="logit_bias names the token 99999"):
            await whole(lease.generate(GenerationRequest(prompt=PUMP, sampling=Sampling(logit_bias=((99999, 1.0),)))))

    with_lease(use)


def test_a_penalty_includes_the_end_of_the_prompt(with_lease: Use) -> None:
    async def use(lease: Lease) -> None:
        biased = ((A, 1000.0), (A + 1, 900.0))
        ends = {"pump": "A", "pump A": "B"}  # a space, then the letter
        for prompt, first in ends.items():
            sampling = Sampling(repeat_penalty=10.0, logit_bias=tuple((_of(token), bias) for token, bias in biased))
            assert (await whole(lease.generate(GenerationRequest(prompt=prompt, max_tokens=1, sampling=sampling))))[
                0
            ] == first

    with_lease(use)


def _of(byte_token: int) -> int:
    """The letter's own token, as prompts use it; the tokens of all bytes and a space come before it."""
    return 3 + 256 + 1 + byte_token - 3 - 33


def test_a_long_chat_drops_its_oldest_turns_if_allowed_but_never_the_system_message(with_lease: Use) -> None:
    def say(role: str, text: str) -> ChatMessage:
        return ChatMessage(role=role, content=text)

    turns = [message for at in range(40) for message in (say("user", f"the pump {at}"), say("assistant", "open"))]
    chat = (say("system", "a"), *turns, say("user", "the valve"))

    async def use(lease: Lease) -> None:
        with pytest.raises(ContextOverflow, match="the model's context has room for 512"):
            await whole(lease.generate(GenerationRequest(messages=chat)))
        _, _, end = await whole(lease.generate(GenerationRequest(messages=chat, overflow="drop_oldest", max_tokens=20)))
        assert end.dropped > 0
        assert end.dropped % 2 == 0
        kept = [chat[0], *chat[1 + end.dropped :]]
        assert end.usage.prompt_tokens == await lease.count_chat_tokens(kept) <= 512 - 20
        more = [chat[0], *chat[1 + end.dropped - 2 :]]
        assert await lease.count_chat_tokens(more) > 512 - 20
        with pytest.raises(ContextOverflow):
            await whole(
                lease.generate(GenerationRequest(messages=(say("user", "the pump " * 600),), overflow="drop_oldest"))
            )

    with_lease(use)
