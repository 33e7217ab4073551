"""Tables of numbers: which lines head their columns, and which lines are one label."""

from ingest.chunking.chunker import ChunkLimits, chunk_pages, embedded_text
from ingest.layout.row_repair import tidied
from ingest.layout.rows import rows_of
from ingest.tables.table_bodies import with_heads
from tests.ingest.page_builder import L, page, prose, table

XS = (50, 300, 400, 500)


def texts(*lines: L) -> list[str]:
    return [row.text() for row in with_heads(tidied(rows_of(page(1, lines))))]


def heads(*lines: L) -> list[str]:
    return [row.text() for row in with_heads(tidied(rows_of(page(1, lines)))) if row.head]


def test_headings_on_several_lines_become_one_row_in_any_order() -> None:
    column = [L("Estimated", 390, 80, bold=True), L("Fair Value", 388, 90, bold=True), L("Cost", 300, 90, bold=True)]
    body = table(("Bonds", "1,427", "1,392"), ("Shares", "332", "986"), y=104)
    assert heads(*column, *body) == ["Cost  Estimated Fair Value"]
    assert heads(*reversed(column[:2]), column[2], *body) == ["Cost  Estimated Fair Value"]


def test_a_heading_over_several_columns_is_a_storey_of_its_own() -> None:
    storeys = [
        L("October 29, 2023", 330, 70, bold=True),
        L("Cost", 305, 84, bold=True),
        L("Value", 400, 84, bold=True),
    ]
    body = table(("Bonds", "1,427", "1,392"), ("Shares", "332", "986"), y=98)
    assert texts(*storeys, *body) == ["October 29, 2023", "Cost  Value", "Bonds  1,427  1,392", "Shares  332  986"]
    assert heads(*storeys, *body) == ["October 29, 2023", "Cost  Value"]


def test_years_alone_are_column_headings_not_amounts() -> None:
    lines = table(("Product", "2022", "2021"), ("Pumps", "1,200", "1,100"), ("Valves", "90", "80"))
    assert heads(*lines) == ["Product  2022  2021"]


def test_the_unit_beside_or_above_the_head_belongs_to_it() -> None:
    lines = [
        L("(In millions)", 50, 88),
        *table(("", "Cost", "Value"), y=88),
        *table(("Bonds", "1,427", "1,392"), y=100),
    ]
    assert heads(*lines) == ["(In millions)  Cost  Value"]


def test_prose_and_announced_headings_above_a_table_do_not_head_its_columns() -> None:
    above = [L("Item 2. Discussion of the Results", 300, 60, bold=True), *prose("The following table shows it.", y=76)]
    lines = [*above, *table(("", "Cost", "Value"), ("Bonds", "1,427", "1,392"), y=90)]
    assert heads(*lines) == ["Cost  Value"]


def test_a_label_of_two_lines_joins_the_row_that_carries_its_amounts() -> None:
    lines = [
        *table(("", "Cost", "Value"), ("Bonds", "1,427", "1,392"), y=60),
        L("Debt securities issued by the U.S.", 50, 84),
        *table(("Treasury", "2,098", "1,371"), y=92.5),
        *table(("Certificates", "5", "6"), y=104.5),
        *table(("Total", "8", "9"), y=116.5),
    ]
    assert "Debt securities issued by the U.S. Treasury  2,098  1,371" in texts(*lines)


def test_a_label_at_the_rows_usual_distance_stays_a_line_of_its_own() -> None:
    lines = [
        *table(("", "Cost", "Value"), ("Bonds", "1,427", "1,392"), y=60),
        L("Level two", 50, 84),
        *table(("Treasury", "2,098", "1,371"), ("Total", "8", "9"), y=96),
    ]
    assert "Level two" in texts(*lines)


def test_the_sign_of_the_next_amount_is_taken_from_the_cell_before_it() -> None:
    lines = [L("Net income", 50, 100), L("3,625 $", 300, 100), L("(20)", 345, 100)]
    assert texts(*lines) == ["Net income  3,625  $(20)"]


def test_every_part_of_a_split_table_carries_its_head() -> None:
    rows = [(f"Item number {n}", f"{n},000", f"{n},500") for n in range(1, 40)]
    lines = [L("Three Months Ended", 330, 76), *table(("", "2022", "2021"), y=88), *table(*rows, y=100)]
    chunks = list(chunk_pages([page(1, lines)], words_as_tokens, ChunkLimits(60, 80)))
    assert len(chunks) > 2
    for chunk in chunks:
        assert "Three Months Ended" in embedded_text(chunk).splitlines()[0]
        assert "2022" in embedded_text(chunk)


def test_the_head_of_a_table_is_never_left_at_the_end_of_a_chunk() -> None:
    for length in range(4, 14):
        text = [L(f"This is sentence number {n} of it.", 50, 20 + 12 * n) for n in range(length)]
        lines = [*text, *table(("", "Cost", "Value"), ("Bonds", "1,427", "1,392"), ("Shares", "1", "2"), y=300)]
        for chunk in chunk_pages([page(1, lines)], words_as_tokens, ChunkLimits(40, 60)):
            assert not chunk.text.endswith("Cost  Value")


def words_as_tokens(text: str) -> list[tuple[int, int]]:
    found, position = [], 0
    for word in text.split():
        begin = text.index(word, position)
        position = begin + len(word)
        found.append((begin, position))
    return found
