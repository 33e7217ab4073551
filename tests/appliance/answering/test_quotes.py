"""Segments cover a passage without losing a word; a quote is the page's own text with a box for each line."""

import pytest

from appliance.answering.quotes import quote
from appliance.answering.segments import readable, segments
from ingest.types import ChunkWord

TABLE = "Operating income\nCloud  9,476  8,391\nTotal  22,352  20,364\nIt rose. It fell again."


def test_sentences_headings_and_rows_are_distinguished() -> None:
    found = segments(TABLE)
    assert [(s.text, s.is_row, s.is_heading) for s in found] == [
        ("Operating income", False, True),
        ("Cloud  9,476  8,391", True, False),
        ("Total  22,352  20,364", True, False),
        ("It rose.", False, False),
        ("It fell again.", False, False),
    ]


@pytest.mark.parametrize("text", ["", "\n\n", "one", TABLE, "  lead\n\n a. b.  c", "Dr. Who came at 5 p.m. to no. 7."])
def test_a_segment_is_a_slice_of_its_passage(text: str) -> None:
    assert all(text[s.start : s.end] == s.text for s in segments(text))


def test_a_row_is_shown_with_the_line_that_names_its_figures() -> None:
    assert readable(segments(TABLE)[2]) == "Operating income: Total | 22,352 | 20,364"


PAGE = {1: "x The \ufb01rst line\nof the quote ends here. y", 2: "over the page"}


def words() -> list[ChunkWord]:
    """ "The first line of the quote ends here. over the page" with its source."""
    made, at = [], 0
    for text, page, line in [
        ("The", 1, 0), ("\ufb01rst", 1, 0), ("line", 1, 0), ("of", 1, 1), ("the", 1, 1), ("quote", 1, 1),
        ("ends", 1, 1), ("here.", 1, 1), ("over", 2, 0), ("the", 2, 0), ("page", 2, 0),
    ]:  # fmt: skip
        length = len(text.replace("\ufb01", "fi"))
        source = PAGE[page].index(text, made[-1].source_end if made and made[-1].page == page else 0)
        made.append(ChunkWord(at, at + length, page, source, source + len(text), _box(source, line, len(text))))
        at += length + 1
    return made


def _box(source: int, line: int, length: int) -> tuple[float, float, float, float]:
    left = 10.0 * (source - 16 * line)
    return (left, 100.0 + 15 * line, left + 10 * length, 110.0 + 15 * line)


def test_a_quote_is_the_pages_own_text_with_its_line_break_and_ligature() -> None:
    found = quote(words(), 0, 36, PAGE.__getitem__)
    assert found is not None
    assert found.text == "The \ufb01rst line\nof the quote ends here."
    assert found.text in PAGE[1]
    assert [box[:3] for box in found.boxes] == [(1, 20.0, 100.0), (1, 0.0, 115.0)]


def test_across_pages_the_longer_part_is_quoted() -> None:
    found = quote(words(), 0, 99, PAGE.__getitem__)
    assert found is not None
    assert (found.page, len(found.boxes)) == (1, 2)


def test_without_words_there_is_no_quote() -> None:
    assert quote([], 0, 10, PAGE.__getitem__) is None
    assert quote(words(), 500, 510, PAGE.__getitem__) is None


def test_words_far_apart_on_the_page_are_not_bridged() -> None:
    text = "Total " + "- " * 200 + "22,352 20,364"
    at = text.index("22,352")
    apart = [
        ChunkWord(0, 5, 1, 0, 5, (0.0, 0.0, 5.0, 9.0)),
        ChunkWord(7, 13, 1, at, at + 6, (50.0, 0.0, 60.0, 9.0)),
        ChunkWord(15, 21, 1, at + 7, at + 13, (70.0, 0.0, 80.0, 9.0)),
    ]
    found = quote(apart, 0, 21, lambda _: text)
    assert found is not None
    assert found.text == "22,352 20,364"
