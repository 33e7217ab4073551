"""Inside the child: from a prompt message to token ids.

Rule: only the chat template may write control tokens. See `guard` for how contents are kept from it.
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
_KEPT_FREE: Final = 4  # a chat that loses turns leaves this part of the context to its answer


class PromptBuilder:
    """Knows a model's template and how it takes system messages."""

    def __init__(self, engine: Engine, template: str | None = None) -> None:
        """`template` takes the place of the file's own. Raises InvalidPrompt if it is not valid Jinja."""
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
        """The token ids. Raises InvalidPrompt, or ContextOverflow if no room is left for an answer."""
        tokens = self._raw(prompt) if isinstance(prompt, Raw) else self._chat(prompt)
        if not tokens:  # nothing to continue from: the model's begin token, or a line break where it has none
            tokens = self._vocabulary.tokenize("", special=False, bos=True) or self._vocabulary.tokenize(
                "\n", special=False, bos=False
            )
        return tokens

    def checked(self, prompt: Prompt) -> list[int]:
        """As `tokens`; raises ContextOverflow if no room is left for an answer."""
        self._check_length(prompt)
        tokens = self.tokens(prompt)
        if len(tokens) >= self._engine.context:
            raise ContextOverflow(
                "answering a prompt",
                f"it has {len(tokens)} tokens, and the model's context has room for {self._engine.context} "
                "with the answer",
                "shorten the prompt, or give the model a larger context in the configuration"
                if self._engine.extensible
                else "shorten the prompt: this is all that the model was made for",
            )
        return tokens

    def fitted(self, prompt: Prompt, max_tokens: int | None) -> tuple[list[int], int]:
        """The token ids of a chat without as many of its oldest turns as must go, and how many messages those had.

        What is left has room for the answer: `max_tokens`, but no more than a quarter of the context. Raises as
        `checked` does if the last turn alone is too long.
        """
        if isinstance(prompt, Raw):
            return self.checked(prompt), 0
        fixed, turns = turns_of(prompt.messages)
        most = self._engine.context - min(max_tokens or self._engine.context, self._engine.context // _KEPT_FREE)

        def shorter(dropped: int) -> Chat:
            return Chat(messages=(*fixed, *(message for turn in turns[dropped:] for message in turn)))

        def fits(dropped: int) -> bool:
            chat = shorter(dropped)
            return not self._far_too_long(chat) and len(self.tokens(chat)) <= most

        dropped = bisect_left(range(len(turns) - 1), True, key=fits) if turns else 0
        return self.checked(shorter(dropped)), sum(map(len, turns[:dropped]))

    def _check_length(self, prompt: Prompt) -> None:
        """Refuses what is far too long without spending seconds on tokenising it."""
        if self._far_too_long(prompt):
            raise ContextOverflow(
                "answering a prompt",
                f"it has {_length(prompt)} characters, and the model's context has room for "
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
        # The tokenizer adds the begin token itself where the model wants one; written twice it would harm.
        rendered = rendered.removeprefix(self._vocabulary.bos_text) if self._vocabulary.adds_bos else rendered
        tokens: list[int] = []
        for part in guard.split(rendered) or [PromptPart("", trusted=True)]:
            tokens += self._vocabulary.tokenize(part.text, special=part.trusted, bos=not tokens)
        return tokens


def turns_of(messages: Sequence[ChatMessage]) -> tuple[list[ChatMessage], list[list[ChatMessage]]]:
    """The system's messages, which stay, and the turns: each begins with what a user says. Pure."""
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
