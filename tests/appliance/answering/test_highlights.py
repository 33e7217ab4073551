"""The lines of a passage, or of a quote's occurrence, are highlighted."""

from appliance.answering.highlights import PageWords, passage_boxes, quote_boxes
from ingest.types import ChunkWord

TEXT = "Change the filter\nevery 500 hours.\nChange the filter\noper-\nation"


def words(text: str = TEXT, page: int = 3) -> list[ChunkWord]:
    """Lay out the words of a text: letters ten points wide, lines ten points high."""
    found, at = [], 0
    for row, line in enumerate(text.split("\n")):
        column = 0
        for word in line.split(" "):
            box = (10.0 * column, 12.0 * row, 10.0 * (column + len(word)), 12.0 * row + 10)
            found.append(ChunkWord(at, at + len(word), page, at, at + len(word), box))
            at += len(word) + 1
            column += len(word) + 1
    return found


def test_a_passage_is_highlighted_line_by_line_on_its_page_only() -> None:
    both = [*words("one two\nthree"), *words("next", page=4)]
    assert passage_boxes(PageWords(3, "one two\nthree", both)) == ((0, 0, 70, 10), (0, 12, 50, 22))
    assert passage_boxes(PageWords(4, "next", both)) == ((0, 0, 40, 10),)
    assert passage_boxes(PageWords(5, "", both)) == ()


def test_a_quote_is_highlighted_where_it_occurs() -> None:
    page = PageWords(3, TEXT, words())
    assert quote_boxes(page, "filter\nevery 500") == ((110, 0, 170, 10), (0, 12, 90, 22))
    assert quote_boxes(page, "every 500 HOURS") == ((0, 12, 160, 22),)
    assert quote_boxes(page, "operation") == ((0, 36, 50, 46), (0, 48, 50, 58))


def test_of_two_occurrences_the_one_in_the_passage_is_highlighted() -> None:
    second = [word for word in words() if word.source_start >= TEXT.rindex("Change")]
    assert quote_boxes(PageWords(3, TEXT, words()), "Change the filter") == ((0, 0, 170, 10),)
    assert quote_boxes(PageWords(3, TEXT, second), "Change the filter") == ((0, 24, 170, 34),)


def test_a_quote_that_does_not_occur_is_not_highlighted() -> None:
    page = PageWords(3, TEXT, words())
    assert [quote_boxes(page, quote) for quote in ("never", "", "  ", "—")] == [(), (), (), ()]
