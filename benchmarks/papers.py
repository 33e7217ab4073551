"""Writes PDFs of generated prose, fast: a small one in microseconds, one of 10,000 pages in seconds and little memory.

    paper(path, Prose(7).pages(200))

The text is English words in sentences made from a seed, so it is tokenised, chunked and embedded like real text. No two
pages are the same, and the same seed gives the same bytes.
"""

import textwrap
import zlib
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from random import Random
from typing import BinaryIO

_NODE = 50  # pages below one node of the page tree
_LINE = 88
_LINES = 48


def _words(text: str) -> list[str]:
    return text.split()


_NOUNS = _words("""agreement anchor archive assembly bearing boiler bridge budget cabin cargo channel chamber circuit clinic
column committee compressor contract corridor council crew current dam deck delivery department deposit depot diver
dock engine entrance estimate evidence exhibit factory farmer ferry filter forecast furnace garden gauge generator
granary harbour hearing hospital inspector invoice island journal judge kitchen ladder laboratory lantern laundry
ledger lever library lighthouse locomotive machine manual market mechanic meeting mill mine motor nurse office
operator orchard parcel patient pipeline platform pressure printer pump quarry railway record refinery reservoir
schedule school sensor shaft shipment signal station storm supplier surgeon survey tank teacher tenant terminal
ticket tower tractor tribunal tunnel turbine valve vessel village voyage warehouse water weather witness workshop""")
_VERBS = _words("""accepted adjusted answered approved carried checked cleaned closed compared completed corrected counted
delayed delivered described drained examined extended filled followed heated inspected installed joined lifted listed
loaded located lowered measured mentioned moved noted opened ordered painted passed planned prepared protected raised
received recorded refused repaired replaced reported requested returned reviewed searched signed stopped stored
supported tested transferred turned visited warned weighed""")
_ADJECTIVES = _words("""annual broken careful central coastal cold common distant early eastern electric empty final foreign
former general heavy hidden initial inner large late local long lower main medical mild modern narrow northern old
open outer partial plain private public quiet rapid recent regular rural second senior separate short silent single
small southern spare steady steep temporary upper urgent usual western wide wooden""")
_LINKS = _words("after although as because before once since so that unless until when whenever where while")
_PLACES = _words("above at behind below beside beyond inside near on outside past under")


class Prose:
    """Generates endless English sentences from one seed."""

    def __init__(self, seed: int) -> None:
        self._random = Random(seed)

    def sentence(self) -> str:
        """Ten to thirty words."""
        pick = self._random.choice
        text = self._clause()
        for _ in range(self._random.randrange(3)):
            text += f" {pick(_LINKS)} {self._clause()}"
        return f"{text[0].upper()}{text[1:]}."

    def paragraph(self, words: int) -> str:
        """Sentences of at least `words` words in all."""
        sentences = [self.sentence()]
        while sum(len(one.split()) for one in sentences) < words:
            sentences.append(self.sentence())
        return " ".join(sentences)

    def page(self, words: int = 220) -> list[str]:
        """The lines of a page: paragraphs separated by empty lines."""
        lines: list[str] = []
        while sum(len(line.split()) for line in lines) < words and len(lines) < _LINES - 8:
            lines += [*textwrap.wrap(self.paragraph(60), _LINE), ""]
        return lines[:_LINES]

    def pages(self, count: int, words: int = 220) -> Iterator[list[str]]:
        """Yields `count` pages, each made on demand."""
        for _ in range(count):
            yield self.page(words)

    def _clause(self) -> str:
        pick = self._random.choice
        number = f"{self._random.randrange(2, 9000)} " if self._random.random() < 0.2 else ""
        return (
            f"the {pick(_ADJECTIVES)} {pick(_NOUNS)} {pick(_VERBS)} {number}{pick(_ADJECTIVES)} {pick(_NOUNS)}s"
            f" {pick(_PLACES)} the {pick(_NOUNS)}"
        )


def paper(path: Path, pages: Iterable[Sequence[str]]) -> Path:
    """Writes a PDF of pages of lines, one page in memory at a time. A line that begins with "# " is a heading."""
    with path.open("wb") as file:
        _Writer(file).all(pages)
    return path


class _Writer:
    """Writes objects as they are finished. Object 1 is the catalogue, 2 the root of the page tree, 3 and 4 the fonts."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._offsets = [0, 0, 0, 0, 0]

    def all(self, pages: Iterable[Sequence[str]]) -> None:
        self._file.write(b"%PDF-1.4\n")
        self._object(1, b"<</Type/Catalog/Pages 2 0 R>>")
        for number, font in ((3, b"Helvetica"), (4, b"Helvetica-Bold")):
            self._object(number, b"<</Type/Font/Subtype/Type1/BaseFont/%b/Encoding/WinAnsiEncoding>>" % font)
        nodes: list[tuple[int, list[int]]] = []
        for number, lines in enumerate(pages):
            if number % _NODE == 0:
                nodes.append((self._new(), []))
            node, kids = nodes[-1]
            kids.append(self._page(node, lines))
        for node, kids in nodes:
            self._object(node, b"<</Type/Pages/Parent 2 0 R/Kids[%b]/Count %d>>" % (_references(kids), len(kids)))
        count = sum(len(kids) for _, kids in nodes)
        self._object(2, b"<</Type/Pages/Kids[%b]/Count %d>>" % (_references(node for node, _ in nodes), count))
        self._end()

    def _page(self, node: int, lines: Sequence[str]) -> int:
        content = zlib.compress(_content(lines), 1)
        stream, page = self._new(), self._new()
        self._object(stream, b"<</Length %d/Filter/FlateDecode>>stream\n%b\nendstream" % (len(content), content))
        self._object(
            page,
            b"<</Type/Page/Parent %d 0 R/MediaBox[0 0 595 842]/Contents %d 0 R/Resources<</Font<</F 3 0 R/B 4 0 R>>>>>>"
            % (node, stream),
        )
        return page

    def _new(self) -> int:
        self._offsets.append(0)
        return len(self._offsets) - 1

    def _object(self, number: int, body: bytes) -> None:
        self._offsets[number] = self._file.tell()
        self._file.write(b"%d 0 obj\n%b\nendobj\n" % (number, body))

    def _end(self) -> None:
        at = self._file.tell()
        self._file.write(b"xref\n0 %d\n0000000000 65535 f \n" % len(self._offsets))
        for offset in self._offsets[1:]:
            self._file.write(b"%010d 00000 n \n" % offset)
        self._file.write(b"trailer\n<</Size %d/Root 1 0 R>>\nstartxref\n%d\n%%%%EOF\n" % (len(self._offsets), at))


def _content(lines: Sequence[str]) -> bytes:
    out = ["BT /F 11 Tf 13.5 TL 56 786 Td"]
    for line in lines:
        escaped = line.replace("\\", r"\\").replace("(", r"\(").replace(")", r"\)")
        if line.startswith("# "):
            out.append(f"/B 16 Tf ({escaped[2:]}) Tj /F 11 Tf T*")
        else:
            out.append(f"({escaped}) Tj T*" if line else "T*")
    return "\n".join([*out, "ET"]).encode("cp1252", "replace")


def _references(numbers: Iterable[int]) -> bytes:
    return b" ".join(b"%d 0 R" % number for number in numbers)
