"""Turns the prompt of a request into token ids, in the child process.

Rule: only the chat template may write control tokens. `control_tokens` shows how contents are kept from it.
"""

from bisect import bisect_left
from collections.abc import Sequence
from typing import Final, Literal

from models.child_process.messages import Chat, Prompt, Raw
from models.errors import ContextOverflow
from models.types import ChatMessage, TemplateSource
from models.worker.engine import Engine
from models.worker.prompting.chat_template import CHATML, ChatTemplate, merge_system, takes_system_role
from models.worker.prompting.control_tokens import ControlGuard, PromptPart

_LONGEST_TOKEN: Final = 512  # characters; the longest tokens of common vocabularies are runs of 128 spaces
_ANSWER_SHARE: Final = 4  # a shortened chat leaves a quarter of the context to its answer. Chosen by eye.


class PromptBuilder:
    """Builds prompts with one model's template and tokenizer.

    `system_role` is "merged" for a template that takes no system message: it becomes part of the first user message.
    """

    def __init__(self, engine: Engine, template: str | None = None) -> None:
        """`template` replaces the one in the file. Raises InvalidPrompt if it is not valid Jinja."""
        self._engine = engine
        self._vocabulary = vocabulary = engine.vocabulary
        self.template: TemplateSource = "configured"
        if template is None:
            template, self.template = vocabulary.chat_template, "gguf"
        if template is None:
            template, self.template = CHATML, "chatml"
        self._template = ChatTemplate(template, bos=vocabulary.bos_text, eos=vocabulary.eos_text)
        self.system_role: Literal["native", "merged"] = "native" if takes_system_role(self._template) else "merged"

    def tokens(self, prompt: Prompt) -> list[int]:
        """Returns the token ids, at least one. Raises InvalidPrompt. Does not check the length."""
        tokens = self._raw(prompt) if isinstance(prompt, Raw) else self._chat(prompt)
        if not tokens:  # nothing to continue from: use the begin token, or a line break if the model has none
            tokens = self._vocabulary.tokenize("", special=False, bos=True) or self._vocabulary.tokenize(
                "\n", special=False, bos=False
            )
        return tokens

    def checked(self, prompt: Prompt) -> list[int]:
        """Like `tokens`. Raises ContextOverflow if the context has no room left for an answer."""
        self._check_length(prompt)
        tokens = self.tokens(prompt)
        if len(tokens) >= self._engine.context:
            raise ContextOverflow(
                "answering a prompt",
                f"it has {len(tokens)} tokens, but the model's context has room for {self._engine.context}, "
                "including the answer",
                "shorten the prompt, or give the model a larger context in the configuration"
                if self._engine.extensible
                else "shorten the prompt: the model itself supports no more tokens",
            )
        return tokens

    def fitted(self, prompt: Prompt, max_tokens: int | None) -> tuple[list[int], int]:
        """Drops the oldest turns of a chat until it fits. Returns the token ids and the number of dropped messages.

        Leaves room for an answer of `max_tokens`, but no more than a quarter of the context. Raises like `checked` if the
        last turn alone is too long.
        """
        if isinstance(prompt, Raw):
            return self.checked(prompt), 0
        fixed, turns = turns_of(prompt.messages)
        most = self._engine.context - min(max_tokens or self._engine.context, self._engine.context // _ANSWER_SHARE)

        def shorter(dropped: int) -> Chat:
            return Chat(messages=(*fixed, *(message for turn in turns[dropped:] for message in turn)))

        def fits(dropped: int) -> bool:
            chat = shorter(dropped)
            return not self._far_too_long(chat) and len(self.tokens(chat)) <= most

        dropped = bisect_left(range(len(turns) - 1), True, key=fits) if turns else 0
        return self.checked(shorter(dropped)), sum(map(len, turns[:dropped]))

    def _check_length(self, prompt: Prompt) -> None:
        """Refuses a prompt that is far too long without spending seconds on tokenising it."""
        if self._far_too_long(prompt):
            raise ContextOverflow(
                "answering a prompt",
                f"it has {_length(prompt)} characters, but the model's context has room for "
                f"{self._engine.context} tokens",
                "shorten the prompt",
            )

    def _far_too_long(self, prompt: Prompt) -> bool:
        return _length(prompt) > self._engine.context * _LONGEST_TOKEN

    def _raw(self, prompt: Raw) -> list[int]:
        return self._vocabulary.tokenize(prompt.text, special=prompt.special, bos=prompt.bos)

    def _chat(self, prompt: Chat) -> list[int]:
        guard = ControlGuard(self._vocabulary.control)
        messages = [{"role": turn.role, "content": guard.mask(turn.content)} for turn in prompt.messages]
        if self.system_role == "merged":
            messages = merge_system(messages)
        rendered = self._template.render(messages)
        # The tokenizer adds the begin token if the model needs one; a second one would harm the answer.
        rendered = rendered.removeprefix(self._vocabulary.bos_text) if self._vocabulary.adds_bos else rendered
        tokens: list[int] = []
        for part in guard.split(rendered) or [PromptPart("", trusted=True)]:
            tokens += self._vocabulary.tokenize(part.text, special=part.trusted, bos=not tokens)
        return tokens


def turns_of(messages: Sequence[ChatMessage]) -> tuple[list[ChatMessage], list[list[ChatMessage]]]:
    """Splits messages into the system messages, which stay, and the turns, each beginning with a user message. Pure."""
    fixed: list[ChatMessage] = []
    turns: list[list[ChatMessage]] = []
    for message in messages:
        if message.role == "system":
            fixed.append(message)
        elif message.role == "user" or not turns:
            turns.append([message])
        else:
            turns[-1].append(message)
    return fixed, turns


def _length(prompt: Prompt) -> int:
    return len(prompt.text) if isinstance(prompt, Raw) else sum(len(turn.content) for turn in prompt.messages)
