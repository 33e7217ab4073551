"""Estimates how many tokens a text has on a server that does not count them for us. Pure.

Rule: rather too many than too few, because a server cuts or refuses too long a prompt. A token is about four bytes of
English and fewer of figures and other languages; three are assumed, and fewer as soon as the server's own counts show
it.
"""

from collections.abc import Iterable
from math import ceil

_BYTES = 3.0
_FEWEST_BYTES = 1.0
_A_MESSAGE = 8
"""Tokens that a chat template adds to each message; chosen by eye."""


class TokenGauge:
    """Estimates for one model of one server."""

    def __init__(self) -> None:
        self._bytes_a_token = _BYTES

    def text(self, text: str) -> int:
        return ceil(len(text.encode("utf-8", "replace")) / self._bytes_a_token)

    def messages(self, contents: Iterable[str]) -> int:
        return sum(self.text(content) + _A_MESSAGE for content in contents)

    def learn(self, contents: Iterable[str], tokens: int) -> None:
        """Correct the estimate by the server's count of `tokens` for a prompt made from `contents`."""
        size = sum(len(content.encode("utf-8", "replace")) for content in contents)
        if size > 200 and tokens:  # in a short prompt the template's own tokens weigh too much
            self._bytes_a_token = max(_FEWEST_BYTES, min(self._bytes_a_token, size / tokens))
