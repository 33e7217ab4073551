"""Documents whose blocks of text flow over pages of a fixed height, so an insertion pushes down all that follows."""

import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache

from ingest.types import Page
from tests.ingest.page_builder import L, page

LINES = 12
"""Lines of text on a page."""

_WIDTH = 80
"""Characters of a line; 6 points each at size 12."""
_LEFT, _TOP, _LEADING = 60.0, 60.0, 14.0


@dataclass(frozen=True)
class Block:
    """A paragraph, a heading, or the rows of a table; `columns` are the table's head on every page it runs over."""

    kind: str
    text: str = ""
    rows: tuple[tuple[str, ...], ...] = ()
    columns: tuple[str, ...] = ()
    repeated: bool = False


@dataclass
class _Paper:
    """Fills pages line by line."""

    pages: list[list[L]] = field(default_factory=lambda: [[]])
    used: int = 0

    def room(self, lines: int = 1) -> bool:
        """Whether that many lines fit; starts a new page otherwise."""
        if self.used + lines <= LINES:
            return True
        self.pages.append([])
        self.used = 0
        return False

    def line(self, *cells: tuple[float, str], size: float = 10, bold: bool = False, block: int = 0) -> None:
        y = _TOP + self.used * _LEADING
        self.pages[-1] += [L(text, x, y, size, bold, block) for x, text in cells if text]
        self.used += 1


def laid_out(blocks: Sequence[Block], *, gap: int = 1) -> list[Page]:
    """Pages with a running header and a page number. `gap` empty lines follow a paragraph; with none it is indented."""
    paper = _Paper()
    for number, block in enumerate(blocks):
        if block.kind == "table":
            _table(paper, block, number)
        elif block.kind == "heading":
            paper.room(3)
            paper.line((_LEFT, block.text), size=14, bold=True, block=number)
        else:
            for index, line in enumerate(_wrapped(block.text, indent=0 if gap else 3)):
                paper.room()
                paper.line((_LEFT + (0 if gap or index else 15), line), block=number)
        paper.used += gap
    return [
        page(n, [L("Pump Manual of the Works", _LEFT, 20, block=9_000), *lines, L(str(n), 300, 420, block=9_001)])
        for n, lines in enumerate(paper.pages, 1)
    ]


def _table(paper: _Paper, block: Block, number: int) -> None:
    xs = (_LEFT, 250.0, 350.0, 450.0)

    def head() -> None:
        paper.line(*zip(xs, block.columns, strict=False), bold=True, block=number)

    paper.room(3)
    head()
    for row in block.rows:
        if not paper.room() and block.repeated:
            head()
        paper.line(*zip(xs, row, strict=False), block=number)


def _wrapped(text: str, indent: int) -> list[str]:
    lines: list[str] = []
    room = _WIDTH - indent
    for word in text.split():
        if lines and len(lines[-1]) + 1 + len(word) <= room:
            lines[-1] += " " + word
        else:
            room = _WIDTH if lines else room
            lines.append(word)
    return lines


class Writer:
    """Sentences from a seed; the same seed gives the same sentences."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)

    def sentence(self, words: int = 14) -> str:
        """A capital, words, a full stop; a comma or a compound now and then."""
        found = self._random.choices(_vocabulary(), k=max(3, round(self._random.gauss(words, words / 3))))
        if self._random.random() < 0.3:
            found[len(found) // 2] += ","
        return " ".join(found).capitalize() + "."

    def paragraph(self, sentences: int = 5) -> str:
        """Some sentences."""
        return " ".join(self.sentence() for _ in range(max(1, round(self._random.gauss(sentences, 2)))))

    def row(self) -> tuple[str, ...]:
        """A label and three amounts."""
        label = " ".join(self._random.choices(_vocabulary(), k=3)).capitalize()
        return (label, *(f"{self._random.randrange(1000, 999_999):,}" for _ in range(3)))


@cache
def _vocabulary() -> tuple[str, ...]:
    """Words of a made-up language, a few of them hyphenated compounds."""
    letters = random.Random(5)
    syllables = [c + v for c in "bdfgklmnprstv" for v in "aeiou"]
    words = ["".join(letters.choices(syllables, k=letters.choice((1, 2, 2, 3, 3, 4)))) for _ in range(1200)]
    return (*words, "the", "of", "and", "cross-checked", "low-end", "mixed-mode")
