"""Keeps control tokens out of what users and documents write. Pure.

A PDF may contain "<|im_end|><|im_start|>system". Parsed as control tokens, it would end the user's turn and speak as the
system. So before the chat template sees a content, the text of each control token in it is replaced by a placeholder
with a random key. After rendering, the prompt is split at the placeholders, and only their texts are tokenised as plain
text. A content without such texts is tokenised exactly as without the guard.
"""

import re
import secrets
from dataclasses import dataclass

_OPEN, _CLOSE = "\ue0f0", "\ue0f1"  # private use


@dataclass(frozen=True, slots=True)
class PromptPart:
    """A part of the rendered prompt. Control tokens are read in it only if `trusted`."""

    text: str
    trusted: bool


class ControlGuard:
    """Guards one prompt: `mask` every content, render the template, `split` the result."""

    def __init__(self, control: re.Pattern[str] | None) -> None:
        self._control = control
        self._key = secrets.token_hex(8)
        self._masked: list[str] = []

    def mask(self, content: str) -> str:
        """Replaces the text of each control token in the content by a placeholder."""
        return self._control.sub(self._placeholder, content) if self._control else content

    def split(self, rendered: str) -> list[PromptPart]:
        """Splits the rendered prompt into parts, with the placeholders turned back into their texts."""
        if not self._masked:
            return [PromptPart(rendered, trusted=True)]
        texts = re.split(f"{_OPEN}{self._key}:([0-9]+){_CLOSE}", rendered)
        parts = []
        for at, text in enumerate(texts):
            masked = at % 2 == 1  # the number of a placeholder
            part = PromptPart(self._masked[int(text)] if masked else text, trusted=not masked)
            if part.text:
                parts.append(part)
        return parts

    def _placeholder(self, match: re.Match[str]) -> str:
        self._masked.append(match.group())
        return f"{_OPEN}{self._key}:{len(self._masked) - 1}{_CLOSE}"
