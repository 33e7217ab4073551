"""A changed page leaves the chunks of other pages as they are, so little has to be embedded again."""

from collections.abc import Callable
from functools import cache

import pytest

from ingest.chunking.chunker import ChunkLimits, chunk_pages, embedded_text
from tests.ingest.fakes import token_offsets
from tests.ingest.flow import Block, Writer, laid_out

LIMITS = ChunkLimits(target_tokens=100, max_tokens=128)
ALLOWED = 0.05
Document = list[Block]


def prose_without_headings(gap: int) -> tuple[Document, int]:
    writer = Writer(1)
    return [Block("text", writer.paragraph()) for _ in range(360 if gap else 430)], gap


def one_endless_paragraph() -> tuple[Document, int]:
    return [Block("text", Writer(2).paragraph(2250))], 0


def headed() -> tuple[Document, int]:
    writer = Writer(3)
    blocks = []
    for chapter in range(1, 84):
        blocks.append(Block("heading", f"{chapter} {writer.sentence(4).rstrip('.')}"))
        blocks += [Block("text", writer.paragraph()) for _ in range(4)]
    return blocks, 1


def one_table(*, repeated: bool) -> tuple[Document, int]:
    writer = Writer(4)
    rows = tuple(writer.row() for _ in range(2200 if repeated else 2400))
    head = ("Item", "March 2022", "March 2021", "Change")
    return [Block("text", writer.paragraph()), Block("table", "", rows, head, repeated)], 1


DOCUMENTS: dict[str, Callable[[], tuple[Document, int]]] = {
    "prose, paragraphs set apart": lambda: prose_without_headings(1),
    "prose, paragraphs indented": lambda: prose_without_headings(0),
    "one endless paragraph": one_endless_paragraph,
    "headings": headed,
    "a table, its head on the first page": lambda: one_table(repeated=False),
    "a table, its head on every page": lambda: one_table(repeated=True),
}


def at(document: Document, place: float) -> int:
    return round(place * (len(document) - 1))


def changed(document: Document, place: float, change: Callable[[str], str]) -> Document:
    """Change the text or row in the middle of the block at `place`, skipping headings."""
    index = at(document, place)
    while document[index].kind == "heading":
        index += 1
    block = document[index]
    if block.kind == "table":
        row = round(place * (len(block.rows) - 1))
        rows = [*block.rows[:row], *_rows(change, block.rows[row]), *block.rows[row + 1 :]]
        block = Block("table", "", tuple(rows), block.columns, block.repeated)
    else:
        sentences = block.text.split(". ")
        middle = round(place * (len(sentences) - 1))
        sentences[middle] = change(sentences[middle])
        text = ". ".join(sentence for sentence in sentences if sentence)
        block = Block("text", text)
    return [*document[:index], block, *document[index + 1 :]]


def _rows(change: Callable[[str], str], row: tuple[str, ...]) -> list[tuple[str, ...]]:
    labels = change(row[0]).split(". ")
    return [(label.split(".")[0][:30], *row[1:]) for label in labels if label]


NEW = "Zoro zoro malu te gari, bo kelo. Temu lago sira"
CHANGES: dict[str, Callable[[str], str]] = {
    "a word is changed": lambda text: text.replace(text.split()[-1], "zorozoro"),
    "a sentence is inserted": lambda text: f"{text}. {NEW}",
    "a sentence is removed": lambda text: "",
    "a page is inserted": lambda text: f"{text}. {NEW}. " + Writer(9).paragraph(35).rstrip("."),
}


CASES = (
    ("a word is changed", 0.5),
    ("a sentence is removed", 0.5),
    ("a sentence is inserted", 0.0),
    ("a page is inserted", 0.0),
)


@cache
def written(name: str) -> tuple[Document, int]:
    return DOCUMENTS[name]()


def texts(document: Document, gap: int) -> list[str]:
    pages = laid_out(document, gap=gap)
    assert len(pages) >= 180
    return [embedded_text(chunk) for chunk in chunk_pages(pages, token_offsets, LIMITS)]


@cache
def known(name: str) -> frozenset[str]:
    return frozenset(texts(*written(name)))


@pytest.mark.parametrize("name", DOCUMENTS)
def test_a_change_on_one_page_embeds_little_again(name: str) -> None:
    document, gap = written(name)
    for change, place in CASES:
        found = texts(changed(document, place, CHANGES[change]), gap)
        again = sum(text not in known(name) for text in found)
        assert again <= ALLOWED * len(found), (change, place, again, len(found))
        assert again > 0, (change, place)
