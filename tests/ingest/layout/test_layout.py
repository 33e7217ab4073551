"""Rows, tables, running lines and headings are found by the positions of words."""

from dataclasses import replace

from ingest.layout.headings import BodySize, Heading, heading_flags, is_contents, nested
from ingest.layout.row_repair import tidied
from ingest.layout.rows import Row, rows_of
from ingest.layout.running_lines import without_running
from ingest.metadata.title import best_title
from ingest.tables.column_headings import TableHead
from ingest.types import Page
from tests.ingest.page_builder import L, page, prose, table


def rows(*lines: L) -> list[Row]:
    return tidied(rows_of(page(1, lines)))


def texts(*lines: L) -> list[str]:
    return [row.text() for row in rows(*lines)]


def test_cells_at_one_height_are_one_row() -> None:
    assert texts(*table(("Net sales", "82,959", "81,434"), ("Services", "19,604", "17,486"))) == [
        "Net sales  82,959  81,434",
        "Services  19,604  17,486",
    ]


def test_a_sign_in_its_own_cell_joins_its_number() -> None:
    assert texts(*table(("Basic", "$", "1.20", "%"), xs=(50, 300, 320, 400))) == ["Basic  $1.20%"]


def test_columns_of_prose_are_not_joined_into_rows() -> None:
    left = prose("Left column one", "left column two", x=50, block=0)
    right = prose("Right column one", "right column two", x=320, block=1)
    assert texts(*left, *right) == ["Left column one", "left column two", "Right column one", "right column two"]


def test_text_running_sideways_along_the_margin_joins_no_row() -> None:
    (upright,) = page(1, [L("arXiv:1234", 10, 90)]).lines
    sideways = replace(upright, box=(10, 50, 20, 400))
    lines = page(1, [L("arXiv:1234", 10, 90), *prose("First line", "second line")]).lines
    given = replace(
        page(1, [L("arXiv:1234", 10, 90), *prose("First line", "second line")]), lines=(sideways, *lines[1:])
    )
    assert [row.text() for row in rows_of(given)] == ["arXiv:1234", "First line", "second line"]


def test_column_headings_on_two_lines_become_one_cell_each() -> None:
    stacked = [
        L("June 25,", 300, 100, block=1),
        L("2022", 305, 110, block=2),
        L("June 26,", 400, 100, block=2),
        L("2021", 405, 110, block=3),
    ]
    assert texts(*stacked) == ["June 25, 2022  June 26, 2021"]


def test_the_second_line_of_a_cell_is_part_of_it() -> None:
    lines = [L("Restraint:", 50), L("Seatbelt, shoulder", 300), L("harness", 300, 112)]
    assert texts(*lines) == ["Restraint:  Seatbelt, shoulder harness"]


def test_the_first_line_of_a_long_label_joins_the_row_of_its_numbers() -> None:
    lines = [L("Total change in securities and other", 50), L("instruments held", 60, 112), L("3,055", 300, 112)]
    assert texts(*lines) == ["Total change in securities and other instruments held  3,055"]


def test_a_number_below_a_number_is_a_row_of_its_own() -> None:
    assert texts(*table(("Total", "12"), ("", "15"))) == ["Total  12", "15"]


def test_a_bullet_and_its_words_are_text() -> None:
    (row,) = rows(L("•", 50), L("Wear gloves at all times", 70))
    assert (row.text(), row.is_table, row.is_item) == ("Wear gloves at all times", False, True)


def test_a_long_numbered_remark_is_text_with_its_number() -> None:
    (row,) = rows(L("(1)", 50), L("Includes revenue from services sold with products", 70))
    assert (row.text(), row.is_table) == ("(1) Includes revenue from services sold with products", False)


def test_small_marks_that_stand_alone_are_dropped_but_numbers_are_not() -> None:
    body = prose("Some words", "more words", "and more words")
    assert texts(*body, L("(1)", 300, 200, size=6), L("®", 300, 220, size=6)) == [
        "Some words",
        "more words",
        "and more words",
    ]
    assert "2022" in texts(*body, L("2022", 300, 200, size=6))
    assert "7" in texts(*body, L("7", 300, 200, size=10))


def kept(pages: list[Page]) -> list[list[str]]:
    return [
        [" ".join(p.text[w.start : w.end] for w in line.words) for i, line in enumerate(p.lines) if i not in dropped]
        for p, dropped in without_running(pages)
    ]


def with_frame(number: int, *body: L, header: str = "Pump Manual", footer: str = "Page {} of 9") -> Page:
    return page(number, [L(header, y=20), *body, L(footer.format(number), y=700 - number * 10)])


def test_headers_footers_and_page_numbers_are_found_wherever_short_pages_end() -> None:
    pages = [with_frame(n, *prose(f"Body of page {word}", f"ends {word}")) for n, word in enumerate("abcdefghi", 1)]
    assert kept(pages) == [[f"Body of page {word}", f"ends {word}"] for word in "abcdefghi"]


def test_a_footer_with_the_name_of_its_section_is_found_by_its_page_number() -> None:
    pages = [
        page(n, [*prose(f"Text {word}"), L(f"Section {word}", y=700), L(str(n + 4), x=500, y=700)])
        for n, word in enumerate("abcdef", 1)
    ]
    assert kept(pages) == [[f"Text {word}"] for word in "abcdef"]


def test_in_a_document_of_two_pages_twice_is_enough() -> None:
    pages = [with_frame(n, *prose("Same"), footer="- {} -") for n in (1, 2)]
    assert kept(pages)[0] == kept(pages)[1]
    assert "Pump Manual" not in kept(pages)[0]


def test_rows_of_amounts_that_differ_are_not_running() -> None:
    pages = [page(n, [*prose(f"Text {n} a"), *table(("Total", f"{n},000"), y=600)]) for n in range(1, 8)]
    assert all("Total" in lines for lines in kept(pages))


def test_a_lone_page_number_is_dropped_even_from_a_single_page() -> None:
    assert kept([page(1, [*prose("Text"), L("12", y=700)])]) == [["Text"]]


def test_running_lines_are_found_holding_only_the_look_ahead() -> None:
    taken = 0

    def counted() -> object:
        nonlocal taken
        for number in range(1, 100):
            taken += 1
            yield with_frame(number, *prose("Text"))

    stream = without_running(counted(), look_ahead=4)  # type: ignore[arg-type]
    next(stream)
    assert taken == 5


def body_of(*lines: L) -> BodySize:
    body = BodySize()
    body.add(rows(*lines))
    return body


PROSE = prose("A line of prose with many words", "and another line of prose with words")


def flags(*lines: L) -> list[bool]:
    return heading_flags(rows(*lines), body_of(*PROSE))


def test_larger_bold_and_announced_lines_are_headings() -> None:
    assert flags(L("Safety", size=14)) == [True]
    assert flags(L("Safety", bold=True)) == [True]
    assert flags(L("Note 2 — Revenue")) == [True]
    assert flags(L("Note 3 :", 50, size=12), L("Earnings Per Share", 110, size=12)) == [True]


def test_short_titled_lines_in_italics_or_colour_are_headings() -> None:
    assert flags(L("Sales and Marketing", marked=True)) == [True]
    assert flags(L("this is said with stress", marked=True)) == [False]
    assert flags(L("Sales and Marketing.", marked=True)) == [False]


def test_a_heading_right_below_another_is_nested_in_it() -> None:
    overview, business = Heading("Overview", 10, bold=True), Heading("Our Business", 10, bold=True)
    assert nested((overview,), business, at_once=True) == (overview, business)
    assert nested((overview,), business) == (business,)
    larger = Heading("Results", 14, bold=True)
    assert nested((overview,), larger, at_once=True) == (larger,)


def test_sentences_labels_and_plain_lines_are_not_headings() -> None:
    assert flags(L("Safety")) == [False]
    assert flags(L("Safety comes first.", size=14)) == [False]
    assert flags(L("continued from before", size=14)) == [False]
    assert flags(L("(In millions)", bold=True)) == [False]
    assert flags(L("$15.3", size=14)) == [False]
    assert flags(*prose("We say how in", "Section 8. In Section 7 we evaluate pumps")) == [False, False]
    assert flags(*prose("The pilot was attempting to land on", "the strip when it struck a tree", size=12)) == [
        False,
        False,
    ]


def test_bold_labels_inside_a_table_are_not_headings() -> None:
    lines = [*table(("Rent", "1,000")), L("Total Costs", 50, 112, bold=True), *table(("Sum", "2,000"), y=124)]
    assert flags(*lines) == [False, False, False]


def test_a_table_of_contents_has_no_headings() -> None:
    entries = table(
        *((f"Chapter {name}", str(number)) for name, number in zip("abcdef", (1, 3, 3, 9, 20, 31), strict=True))
    )
    lines = [L("Part One", 50, 80, bold=True), *entries]
    assert is_contents(rows(*lines))
    assert not any(flags(*lines))
    assert not is_contents(rows(*table(("a", "9"), ("b", "3"), ("c", "7"), ("d", "1"), ("e", "2"))))


def path_of(*headings: Heading) -> tuple[str, ...]:
    path: tuple[Heading, ...] = ()
    for heading in headings:
        path = nested(path, heading)
    return tuple(heading.text for heading in path)


def test_headings_nest_by_size_then_numbering_then_capitals() -> None:
    big, small = Heading("Pumps", 18, bold=True), Heading("Valves", 14, bold=True)
    assert path_of(big, small) == ("Pumps", "Valves")
    assert path_of(small, big) == ("Pumps",)
    assert path_of(small, Heading("Seals", 14, bold=True)) == ("Seals",)
    part, item, note = (Heading(text, 10, bold=True) for text in ("PART I", "Item 1. Statements", "Note 2 – Revenue"))
    plain = Heading("Earnings", 10, bold=True)
    assert path_of(part, item, note, plain) == ("PART I", "Item 1. Statements", "Note 2 – Revenue", "Earnings")
    assert path_of(part, item, note, plain, Heading("Item 2. Discussion", 12, bold=True)) == (
        "PART I",
        "Item 2. Discussion",
    )
    one, deeper, two = (Heading(text, 10, bold=True) for text in ("1 Scope", "1.1 Terms", "2 Use"))
    assert path_of(one, deeper) == ("1 Scope", "1.1 Terms")
    assert path_of(one, deeper, two) == ("2 Use",)
    assert path_of(Heading("SAFETY", 10, bold=True), Heading("Gloves", 10, bold=True)) == ("SAFETY", "Gloves")


def test_rows_in_the_middle_of_a_table_know_its_column_headings() -> None:
    head = TableHead()
    assert head.add("Three Months Ended  Nine Months Ended") == ""
    assert head.add("June 25, 2022  June 26, 2021") == ""
    assert (
        head.add("Net sales  82,959  81,434") == "Three Months Ended, Nine Months Ended; June 25, 2022, June 26, 2021"
    )


def test_a_table_of_keys_and_values_has_no_column_headings() -> None:
    head = TableHead()
    assert head.add("Location:  Tallahassee, FL") == ""
    assert head.add("Injuries:  1 Minor") == ""


def test_the_title_comes_from_the_metadata_unless_it_is_a_leftover_there() -> None:
    first = page(1, [L("Annual", size=20, y=50), L("Report 2023", size=20, y=75), *prose("Some text here", y=120)])
    assert best_title("Pump Manual", first) == "Pump Manual"
    for leftover in ("", "untitled", "Microsoft Word - x.doc", "scan001.pdf", "0000320193-22-000070", "\x00\x01"):
        assert best_title(leftover, first) == "Annual Report 2023"
    assert best_title("", page(1, [])) == ""
