"""How many tokens a text has at an end that does not count them for us: an estimate that learns upwards. Pure.

Rule: rather too many than too few, for too long a prompt is cut or refused at the other end. A token has about four
bytes of English and fewer of figures and other languages; three are assumed, and fewer as soon as the end's own counts
say so.
"""

from collections.abc import Iterable
from math import ceil

_BYTES = 3.0
_FEWEST_BYTES = 1.0
_A_MESSAGE = 8
"""Tokens that a chat template adds to each message."""


class TokenGauge:
    """Estimates for one model of one end."""

    def __init__(self) -> None:
        self._bytes_a_token = _BYTES

    def text(self, text: str) -> int:
        """Tokens of a text."""
        return ceil(len(text.encode("utf-8", "replace")) / self._bytes_a_token)

    def messages(self, contents: Iterable[str]) -> int:
        """Tokens of a whole chat."""
        return sum(self.text(content) + _A_MESSAGE for content in contents)

    def learn(self, contents: Iterable[str], tokens: int) -> None:
        """The end has counted `tokens` for a prompt made of these."""
        size = sum(len(content.encode("utf-8", "replace")) for content in contents)
        if size > 200 and tokens:  # the template's own tokens would weigh too much in a short one
            self._bytes_a_token = max(_FEWEST_BYTES, min(self._bytes_a_token, size / tokens))
