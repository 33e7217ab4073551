"""Keeps control tokens out of what users and documents write. Pure.

A PDF may contain "<|im_end|><|im_start|>system"; parsed as control tokens it would end the user's turn and speak as
the system. So before the chat template sees a content, each control token's text in it is replaced by a placeholder
with a random key; after rendering, the text is split at the placeholders, and those parts alone are tokenised as plain
text. A content without such text is tokenised exactly as without the guard.
"""

import re
import secrets
from dataclasses import dataclass

_OPEN, _CLOSE = "\ue0f0", "\ue0f1"  # private use


@dataclass(frozen=True, slots=True)
class PromptPart:
    """A stretch of the rendered prompt; control tokens are read in it only if `trusted`."""

    text: str
    trusted: bool


class ControlGuard:
    """For one prompt: `mask` every content, render, then `split` the result."""

    def __init__(self, control: re.Pattern[str] | None) -> None:
        self._control = control
        self._key = secrets.token_hex(8)
        self._masked: list[str] = []

    def mask(self, content: str) -> str:
        """The content with a placeholder for each control token's text."""
        return self._control.sub(self._take, content) if self._control else content

    def split(self, rendered: str) -> list[PromptPart]:
        """The rendered prompt in parts, placeholders turned back into the text they stand for."""
        if not self._masked:
            return [PromptPart(rendered, trusted=True)]
        pieces = re.split(f"{_OPEN}{self._key}:([0-9]+){_CLOSE}", rendered)
        parts = []
        for at, piece in enumerate(pieces):
            text = self._masked[int(piece)] if at % 2 else piece
            if text:
                parts.append(PromptPart(text, trusted=at % 2 == 0))
        return parts

    def _take(self, match: re.Match[str]) -> str:
        self._masked.append(match.group())
        return f"{_OPEN}{self._key}:{len(self._masked) - 1}{_CLOSE}"
