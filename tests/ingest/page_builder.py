"""Builds pages as the parser would give them, from lines written in the test."""

from collections.abc import Iterable

from ingest.types import Line, Page, Word

WIDTH, HEIGHT = 600.0, 800.0
CHARACTER = 0.5
"""Width of a character in font sizes."""


class L:
    """One line: its text, its position and its style. Lines of one `block` belong together."""

    def __init__(
        self,
        text: str,
        x: float = 50,
        y: float = 100,
        size: float = 10,
        bold: bool = False,
        block: int = 0,
        marked: bool = False,
    ) -> None:
        self.text, self.x, self.y, self.size, self.bold, self.block = text, x, y, size, bold, block
        self.marked = marked


def page(number: int, lines: Iterable[L]) -> Page:
    """A page whose text is its lines, each ended by a newline."""
    text = ""
    built = []
    for line in lines:
        words = []
        position = 0
        for word in line.text.split(" "):
            x = line.x + position * CHARACTER * line.size
            box = (x, line.y, x + len(word) * CHARACTER * line.size, line.y + line.size)
            start = len(text) + position
            words.append(Word(start, start + len(word), box))
            position += len(word) + 1
        box = (line.x, line.y, words[-1].box[2], line.y + line.size)
        built.append(Line(tuple(words), box, line.block, line.size, line.bold, line.marked))
        text += line.text + "\n"
    return Page(number, text, WIDTH, HEIGHT, tuple(built))


def prose(*texts: str, y: float = 100, size: float = 10, x: float = 50, block: int = 0, bold: bool = False) -> list[L]:
    """Lines of one paragraph, closely set."""
    return [L(text, x, y + index * size * 1.2, size, bold, block) for index, text in enumerate(texts)]


def table(
    *rows: tuple[str, ...], y: float = 100, xs: tuple[float, ...] = (50, 300, 400, 500), block: int = 0
) -> list[L]:
    """A row as the parser gives it: each cell is a line of its own."""
    return [L(cell, xs[i], y + r * 12, block=block) for r, row in enumerate(rows) for i, cell in enumerate(row) if cell]
