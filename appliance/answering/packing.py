"""Chooses the passages that fit into a model's context beside question and answer: the best ones, in their order."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from appliance.answering.prompts import messages, passage_text
from appliance.store.rows import PassageRow
from models.errors import ContextOverflow
from models.types import ChatMessage

_LEAST_ANSWER = 16
"""Tokens left for the answer even in a tiny context. Chosen by eye."""
_MARGIN = 8
"""Tokens by which the whole prompt may exceed the sum of its parts. Chosen by eye."""


@dataclass(frozen=True, slots=True)
class Packed:
    """A prompt that fits, with the number of passages in it and the tokens left for the answer."""

    messages: tuple[ChatMessage, ...]
    passages: int
    max_tokens: int


async def pack(
    question: str,
    rows: Sequence[PassageRow],
    *,
    context: int,
    max_tokens: int,
    count: Callable[[str], Awaitable[int]],
    count_chat: Callable[[Sequence[ChatMessage]], Awaitable[int]],
) -> Packed:
    """Pack the first passages that fit; the answer may take at most half of the context.

    Raises:
        ContextOverflow: not even the question and one passage fit.
    """
    answer = min(max_tokens, max(_LEAST_ANSWER, context // 2))
    room = context - answer - _MARGIN - await count_chat(messages(question, []))
    taken: list[str] = []
    for number, row in enumerate(rows, 1):
        text = passage_text(number, row)
        room -= await count(text) + 1
        if room < 0:
            break
        taken.append(text)
    if not taken:
        raise ContextOverflow(
            "packing the passages for the model",
            f"its context of {context:,} tokens has no room for the question, one passage and an answer",
            "ask a shorter question, raise `context` in the settings, or use a model with a larger context"
            " (`docent models list`)",
        )
    return Packed(messages(question, taken), len(taken), answer)
