"""What belongs together is read together: over columns and pages, past footnotes and figures."""

from ingest.chunking.chunker import ChunkLimits, chunk_pages, embedded_text
from ingest.types import Bookmark, Chunk, Page
from tests.ingest.fakes import token_offsets
from tests.ingest.page_builder import L, page, prose, table

WIDE = ChunkLimits(target_tokens=200, max_tokens=254)
ABOVE = prose("The valve of every pump must be closed by hand", "and then be locked with its own key before the", y=640)
BELOW = prose("pump is started again by its operator.", "It is red.", y=60)
WHOLE = "The valve of every pump must be closed by hand and then be locked with its own key before the pump is started"


def chunks(*pages: Page, limits: ChunkLimits = WIDE, bookmarks: tuple[Bookmark, ...] = ()) -> list[Chunk]:
    return list(chunk_pages(pages, token_offsets, limits, bookmarks=bookmarks))


def text(*pages: Page) -> str:
    return "\n".join(chunk.text for chunk in chunks(*pages))


def test_a_footnote_follows_the_paragraph_that_its_page_breaks() -> None:
    note = prose("1 See the list of keys that hangs in the office.", y=720, size=7, block=5)
    found = text(page(1, [*ABOVE, *note]), page(2, BELOW))
    assert WHOLE in found
    assert found.index("1 See the list") > found.index("pump is started")


def test_a_figure_with_labels_and_caption_does_not_break_a_paragraph() -> None:
    labels = [L("Inlet", 100, 60, 6), L("Outlet", 200, 90, 6)]
    caption = prose("Figure 3. The pump from above.", y=120, size=9, block=3)
    rest = prose("pump is started again by its operator.", "It is red.", y=160, block=4)
    found = text(page(1, ABOVE), page(2, [*labels, *caption, *rest]))
    assert WHOLE in found
    assert "Figure 3. The pump from above." in found


def test_a_paragraph_continues_in_the_next_column() -> None:
    right = prose("pump is started again by its operator.", y=60, x=320, block=1)
    assert WHOLE in text(page(1, [*ABOVE, *right]))


def test_a_finished_paragraph_is_not_joined_with_one_that_begins_in_small_letters() -> None:
    ended = prose("The valve of every pump must be closed by hand", "and then be locked with its own key.", y=640)
    found = text(page(1, [*ended, *prose("1 See the list.", y=720, size=7, block=5)]), page(2, BELOW))
    assert "own key.\n1 See the list.\npump is started" in found


def test_columns_written_line_by_line_across_are_read_one_after_the_other() -> None:
    left = [f"Left line {n} goes on to fill the column" for n in range(8)]
    right = [f"right line {n} goes on to fill its column" for n in range(8)]
    rows = [
        cell
        for n in range(8)
        for cell in (L(left[n], 50, 100 + 12 * n, block=n), L(right[n], 320, 100 + 12 * n, block=n))
    ]
    found = " ".join(text(page(1, rows)).split())
    assert " ".join([*left, *right]) in found


def test_a_table_of_words_stays_a_table() -> None:
    rows = [(f"Growth {n}", f"Revenue from the sale of item {n} to others") for n in range(9)]
    found = text(page(1, table(*rows)))
    assert found.splitlines() == [f"{label}  {words}" for label, words in rows]


def test_a_list_stays_with_what_introduces_it() -> None:
    small = ChunkLimits(target_tokens=40, max_tokens=60)
    for length in range(3, 9):
        before = prose(*(f"Sentence {n} is about pump {n} here." for n in range(length)), y=60)
        intro = prose("These parts are needed:", y=300, block=1)
        items = [
            cell for n in range(5) for cell in (L("•", 50, 330 + 14 * n), L(f"a bolt of length {n}", 70, 330 + 14 * n))
        ]
        for chunk in chunks(page(1, [*before, *intro, *items]), limits=small):
            assert not chunk.text.endswith(":")


def test_the_head_of_a_table_over_several_pages_is_taken_once_and_kept_for_all_rows() -> None:
    head = ("Item", "Cost", "Value")
    pages = [
        page(n, table(head, *((f"Item number {n} {row}", f"{n},{row}00", f"{n},{row}50") for row in range(10, 40))))
        for n in range(1, 6)
    ]
    found = chunks(*pages)
    assert "\n".join(chunk.text for chunk in found).count("Cost") == 1
    assert all("Item, Cost, Value" in embedded_text(chunk) for chunk in found[1:])


def test_bookmarks_make_headings_of_the_rows_they_name_and_nest_them() -> None:
    lines = [
        L("Safety", 50, 60),
        *prose("Gloves are worn by everybody at all times in here.", y=90, block=1),
        L("2 Keys", 50, 120, block=2),
        *prose("Keys hang in the office beside the door to the yard.", y=150, block=3),
    ]
    marks = (Bookmark(1, "Safety", 1), Bookmark(2, "Keys", 1), Bookmark(1, "Elsewhere", 1))
    (chunk,) = [c for c in chunks(page(2, lines), bookmarks=()) if "Keys hang" in c.text]
    assert chunk.heading == ()
    marks = tuple(Bookmark(mark.level, mark.title, 2) for mark in marks)
    found = chunks(page(2, lines), bookmarks=marks, limits=ChunkLimits(20, 60))
    assert [c.heading for c in found if "Keys hang" in c.text] == [("Safety", "2 Keys")]


def test_a_short_line_below_the_running_header_is_running_too() -> None:
    names = {"Item 1": "north", "Item 2": "south", "Items 3, 4": "west", "Item 7": "east"}
    body = [
        prose(f"The {word} valve is red.", f"It has a {word} key.", f"See {word}.", y=80) for word in names.values()
    ]
    pages = [
        page(n, [L("PART I", 300, 20), L(name, 300, 31), *lines])
        for n, (name, lines) in enumerate(zip(names, body, strict=True), 1)
    ]
    assert text(*pages).split() == " ".join(line.text for lines in body for line in lines).split()


def test_a_paragraph_longer_than_many_pages_is_not_held_whole() -> None:
    taken = 0

    def endless() -> object:
        nonlocal taken
        for number in range(1, 200):
            taken = number
            yield page(number, prose(*["words that go on and on over lines and pages with no end"] * 40, y=60))

    chunk = next(iter(chunk_pages(endless(), token_offsets, WIDE)))  # type: ignore[arg-type]
    assert chunk.page == 1
    assert taken < 130
