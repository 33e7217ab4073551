"""Inside the child: from a prompt message to token ids.

Rule: only the chat template may write control tokens. See `guard` for how contents are kept from it.
"""

from typing import Final, Literal

from models.engine import Engine
from models.errors import ContextOverflow
from models.guard import ControlGuard, Part
from models.protocol import Chat, Prompt, Raw
from models.templates import CHATML, ChatTemplate, merge_system, takes_system_role

_LONGEST_TOKEN: Final = 512  # characters; the longest tokens of common vocabularies are runs of 128 spaces


class PromptBuilder:
    """Knows a model's template and how it takes system messages."""

    def __init__(self, engine: Engine) -> None:
        """Raises InvalidPrompt if the model's template is not valid Jinja."""
        self._engine = engine
        self._vocabulary = vocabulary = engine.vocabulary
        source = vocabulary.chat_template
        self.template: Literal["gguf", "chatml"] = "chatml" if source is None else "gguf"
        self._template = ChatTemplate(
            CHATML if source is None else source, bos=vocabulary.bos_text, eos=vocabulary.eos_text
        )
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

    def _check_length(self, prompt: Prompt) -> None:
        """Refuses what is far too long without spending seconds on tokenising it."""
        texts = [prompt.text] if isinstance(prompt, Raw) else [turn.content for turn in prompt.messages]
        length, most = sum(map(len, texts)), self._engine.context * _LONGEST_TOKEN
        if length > most:
            raise ContextOverflow(
                "answering a prompt",
                f"it has {length} characters, and the model's context has room for {self._engine.context} tokens",
                "shorten the prompt",
            )

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
        for part in guard.split(rendered) or [Part("", trusted=True)]:
            tokens += self._vocabulary.tokenize(part.text, special=part.trusted, bos=not tokens)
        return tokens
