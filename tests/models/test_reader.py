"""A tiny trained model through the real engine: it answers from its passages, and only from them.

What is shown: of 200 questions about names and numbers that no training can have had, at least 90 % are answered word
for word with the right passage, at most 10 % without; an adapter changes the form of the answer and not its content.
"""

import asyncio
import re
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from tokenizers import Tokenizer

from appliance.answering.prompts import messages, passage_text
from appliance.store.rows import PassageRow
from models.adapters.catalog import AdapterCatalog
from models.catalog.catalog import Catalog
from models.residency.lease import Lease
from models.residency.manager import ModelDefaults
from models.types import AdapterRef, GenerationRequest, TextPiece
from tests.assets.reader import ADAPTER, READER, VOCABULARY, said
from tests.assets.reader_questions import Asked, evaluation
from tests.assets.reader_world import FORM, NOT_FOUND, RULES, Example, World, held_out
from tests.models.managed import managed

ROOMY = ModelDefaults(context=1024, threads=1, parallel=8, batch=256, wait_s=120.0, queue=400)
LONGEST_ANSWER = 60


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("reader")
    spec = Catalog(root / "models").import_gguf(READER)
    AdapterCatalog(root / "adapters").import_adapter(ADAPTER, bases=[spec], adapter_id="form")
    return root


@pytest.fixture(scope="module")
def asked() -> list[Asked]:
    return evaluation()


@asynccontextmanager
async def reading(home: Path, *adapters: AdapterRef) -> AsyncIterator[Lease]:
    async with managed(home, ROOMY) as manager, manager.lease("reader", adapters) as lease:
        yield lease


async def answers(lease: Lease, examples: Sequence[Example]) -> list[str]:
    """Greedy answers to all of them, as many at once as the engine takes."""

    async def answer(example: Example) -> str:
        pieces = lease.generate(GenerationRequest(messages=said(example), max_tokens=LONGEST_ANSWER))
        return "".join([piece.text async for piece in pieces if isinstance(piece, TextPiece)])

    return list(await asyncio.gather(*map(answer, examples)))


async def test_it_answers_word_for_word_with_the_right_passage_and_not_without(home: Path, asked: list[Asked]) -> None:
    async with reading(home) as lease:
        right = await answers(lease, [one.right for one in asked])
        without = await answers(lease, [one.without for one in asked])
    exact = sum(text == one.right.answer for text, one in zip(right, asked, strict=True))
    guessed = sum(one.right.fact.answer in text for text, one in zip(without, asked, strict=True))
    print(f"exact {exact}, without the passage {guessed}, said so {without.count(NOT_FOUND)} of {len(asked)}")
    assert exact >= 0.9 * len(asked)
    assert guessed <= 0.1 * len(asked)


async def test_the_adapter_changes_the_form_of_the_answer_and_not_its_content(home: Path, asked: list[Asked]) -> None:
    examples = [one.right for one in asked[:60]]
    async with reading(home) as lease:
        plain = await answers(lease, examples)
    async with reading(home, AdapterRef("form")) as lease:
        formed = await answers(lease, examples)
    assert not any(text.startswith(FORM) for text in plain)
    assert sum(text.startswith(FORM) for text in formed) >= 0.95 * len(examples)
    same = sum(text == FORM + one.answer for text, one in zip(formed, examples, strict=True))
    print(f"in the adapter's form and exact: {same} of {len(examples)}")
    assert same >= 0.8 * len(examples)


async def test_llama_cpp_cuts_texts_as_the_training_did(home: Path, asked: list[Asked]) -> None:
    vocabulary = Tokenizer.from_file(str(VOCABULARY))
    texts = [RULES, *(one.right.prompt for one in asked[:40]), *(one.right.answer for one in asked[:40])]
    async with reading(home) as lease:
        counted = [await lease.count_tokens(text) for text in texts]
    assert counted == [len(vocabulary.encode(text, add_special_tokens=False).ids) for text in texts]


def test_nothing_that_is_asked_for_can_have_been_in_the_training(asked: list[Asked]) -> None:
    for one in asked:
        fact = one.right.fact
        assert held_out(fact.subject.split()[1])
        held = fact.answer if fact.kind == "installed" else fact.answer.replace("-", " ")
        found = [held] if fact.kind == "installed" else re.findall(r"\d+|[A-Z][a-z]+", held)
        assert found
        assert all(map(held_out, found)), fact.answer
    training = World(8)
    made = {training.name() for _ in range(3000)} | {training.number() for _ in range(3000)}
    assert not any(map(held_out, made | {training.date() for _ in range(3000)}))


def test_the_questions_are_of_all_kinds_and_each_has_its_answer_in_one_passage(asked: list[Asked]) -> None:
    assert len({one.right.fact.kind for one in asked}) == 8
    for one in asked:
        holding = [n for n, page in enumerate(one.right.passages, 1) if one.right.fact.answer in page.text]
        assert holding == [one.right.number]
        assert not any(one.right.fact.answer in page.text for page in one.without.passages)


def test_the_reader_was_trained_on_the_prompts_that_the_service_writes(asked: list[Asked]) -> None:
    for one in (asked[0].right, asked[1].right):
        rows = [
            PassageRow(
                0,
                0,
                "",
                page.path.encode(),
                b"",
                "",
                page.page,
                page.page,
                tuple(filter(None, [page.heading])),
                page.text,
            )
            for page in one.passages
        ]
        service = messages(one.question, [passage_text(number, row) for number, row in enumerate(rows, 1)])
        assert list(service) == said(one)
