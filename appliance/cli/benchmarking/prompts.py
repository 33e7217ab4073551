"""Makes prompts of a given length, each with a beginning of its own. Pure.

The service caches the beginnings of earlier prompts; a benchmark that sends the same text twice would measure that cache
instead of reading. So every prompt begins with a unique word, unless a shared beginning is what is measured.
"""

import random
from dataclasses import dataclass

_TEXT = (
    "the report says that a pump or valve in the north hall was found open after the night check and the team had to "
    "close it again before water could reach the lower floor where new paper is kept so each person on duty must look "
    "at every gauge write down its value with the time and call for help when one of them is higher than it was on the "
    "day before because small changes come first and large ones follow soon"
)
_WORDS = _TEXT.split()


@dataclass(frozen=True, slots=True)
class PromptMaker:
    """Makes prompts of about the same length. `tokens_per_word` depends on the model, see `calibrated`."""

    run: str
    """Differs between runs, so that no run finds another's prompts in the cache."""
    tokens_per_word: float = 1.0

    def calibrated(self, words: int, tokens: int) -> "PromptMaker":
        """A maker for a model that counted `tokens` in a prompt of this many words."""
        return PromptMaker(self.run, max(0.1, tokens / words))

    def make(self, number: int, tokens: int) -> str:
        """The prompt with this number, of about `tokens` tokens; every number has its own beginning."""
        return self.of_words(number, max(1, round(tokens / self.tokens_per_word)))

    def of_words(self, number: int, words: int) -> str:
        """The prompt with this number, of exactly `words` words."""
        draw = random.Random(f"{self.run}/{number}")
        start = "".join(draw.choices("abcdefghijklmnopqrstuvwxyz", k=8))  # one of 200 billion: never repeats
        return " ".join([start, *draw.choices(_WORDS, k=words - 1)])
