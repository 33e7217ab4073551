"""What commands print: JSON, errors, tables, amounts.

Text that comes from documents, file names or models is cleaned here and never read as markup. Without a terminal
there is no colour and nothing is cut to a width, so that pipes see everything. The console's library is loaded only
when something is printed with it: the root command needs this module but must start fast.
"""

import json
import os
import re
import sys
import textwrap
from collections.abc import Iterable, Sequence
from itertools import zip_longest
from typing import TYPE_CHECKING, Any, Literal

from appliance.display.humanize import amount
from appliance.display.path_names import shown_argument
from appliance.display.safe_text import clean_line, clean_text, escape_json
from appliance.errors import AnyDocentError, outcome

if TYPE_CHECKING:
    from pydantic import BaseModel
    from rich.console import Console

__all__ = [
    "amount",
    "clean_name",
    "colours_wanted",
    "console",
    "error_body",
    "indented",
    "is_terminal",
    "print_error",
    "print_fields",
    "print_json",
    "print_model",
    "print_table",
    "print_text",
    "text_width",
]

_PIPE_WIDTH = 10_000
_LEAST_TEXT, _MOST_TEXT = 40, 100
_GAP = 2
_LEAST_CUT_COLUMN = 12
_NOT_IN_A_CELL = re.compile("[\n\t]+")


def is_terminal() -> bool:
    """Whether a person looks at stdout."""
    return sys.stdout.isatty()


def console(*, stderr: bool = False) -> "Console":
    """A console that takes text literally, without colour or cutting where no terminal is."""
    from rich.console import Console

    stream = sys.stderr if stderr else sys.stdout
    width = None if stream.isatty() else _PIPE_WIDTH
    return Console(file=stream, width=width, markup=False, emoji=False, highlight=False)


def text_width() -> int:
    """Cells for running text: the terminal's width, but no longer than is pleasant to read."""
    return max(_LEAST_TEXT, min(console().width - 1, _MOST_TEXT))


def print_json(value: object) -> None:
    """One JSON document, indented, with nothing in it that a terminal would obey."""
    _write(escape_json(json.dumps(value, indent=2, ensure_ascii=False)))


def print_model(model: "BaseModel") -> None:
    """One of the API's objects as the API sends it."""
    print_json(model.model_dump(mode="json", by_alias=True))


def print_text(text: str = "", *, stderr: bool = False) -> None:
    """Foreign or own text, cleaned."""
    _write(clean_text(text), stderr=stderr)


def counted(number: int | None, noun: str) -> str:
    """ "1 page", "2,000 pages"."""
    return f"{number or 0:,} {noun}{'' if number == 1 else 's'}"


def clean_name(name: str) -> str:
    """A document's name as it can be typed back: nothing left out, what a terminal would obey as escapes."""
    return shown_argument(name)


def error_body(error: AnyDocentError) -> dict[str, str]:
    """The API's error object for an error of any tree."""
    row = outcome(error)
    return {"message": str(error), "type": row.type, "code": row.code, "hint": error.hint}


def print_error(error: AnyDocentError, *, as_json: bool = False) -> None:
    """An error with its hint: text on stderr, or with `as_json` the API's object on stdout."""
    if as_json:
        print_json({"error": error_body(error)})
        return
    print_text(f"docent: {error}", stderr=True)
    if error.hint:
        print_text(f"  → {error.hint}", stderr=True)


def print_table(columns: Sequence[str], rows: Iterable[Sequence[str]], *, notes: Sequence[str] = ()) -> None:
    """A table without frames; a column whose name ends in `>` is aligned right, one in `…` is cut in the middle of its
    names where room is short: they differ at their ends more often than at their beginnings.

    `notes` has one text for each row, empty or shown below it, indented.
    """
    from rich.table import Table
    from rich.text import Text

    cells = [[_NOT_IN_A_CELL.sub(" ", clean_text(cell)) for cell in row] for row in rows]
    room = _room_for_cut_column(columns, cells, console().width)
    table = Table(box=None, pad_edge=False, padding=(0, _GAP, 0, 0), header_style="bold")
    for column in columns:
        width = room if column.endswith("…") else None
        justify: Literal["right", "left"] = "right" if column.endswith(">") else "left"
        table.add_column(column.rstrip(">…"), justify=justify, no_wrap=True, overflow="ellipsis", max_width=width)
    for row in cells:
        shown = (
            cut_in_the_middle(text, room) if name.endswith("…") else text
            for name, text in zip(columns, row, strict=True)
        )
        table.add_row(*map(Text, shown))
    _print_trimmed(table, ["", *notes])  # the first line is the header


def cut_in_the_middle(text: str, room: int) -> str:
    """At most so many cells of the terminal, with the beginning and more of the end of a longer text."""
    from rich.cells import cell_len, set_cell_size

    if cell_len(text) <= room:
        return text
    head = (room - 1) // 3
    end = set_cell_size(text[::-1], room - 1 - head)[::-1]
    return f"{set_cell_size(text, head)}…{end}"


def _room_for_cut_column(columns: Sequence[str], cells: Sequence[Sequence[str]], width: int) -> int:
    """What the other columns leave of `width` for the one that may be cut."""
    from rich.cells import cell_len

    taken = 0
    for index, column in enumerate(columns):
        if not column.endswith("…"):
            taken += max(cell_len(text) for text in [column.rstrip(">"), *(row[index] for row in cells)]) + _GAP
    return max(_LEAST_CUT_COLUMN, width - taken - _GAP)


def print_fields(fields: Iterable[tuple[str, str]]) -> None:
    """Names and values, one pair a line; long values wrap under themselves."""
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, padding=(0, _GAP, 0, 0), show_header=False)
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for name, value in fields:
        table.add_row(Text(name, style="bold"), Text(clean_text(value)))
    _print_trimmed(table)


def _print_trimmed(renderable: Any, notes: Sequence[str] = ()) -> None:
    screen = console()
    with screen.capture() as captured:
        screen.print(renderable)
    for line, note in zip_longest(captured.get().splitlines(), notes, fillvalue=""):
        _write(line.rstrip())
        if note:
            _write(indented(note))


def indented(text: str, margin: str = "    ") -> str:
    """Text on lines of its own below something: wrapped on a terminal, whole elsewhere."""
    line = clean_line(text)
    return (
        textwrap.fill(line, text_width(), initial_indent=margin, subsequent_indent=margin)
        if is_terminal()
        else margin + line
    )


def _write(text: str, *, stderr: bool = False) -> None:
    stream = sys.stderr if stderr else sys.stdout
    try:
        stream.write(text + "\n")
    except UnicodeEncodeError:
        encoding = stream.encoding or "ascii"
        stream.write(text.encode(encoding, "backslashreplace").decode(encoding) + "\n")
    stream.flush()


def colours_wanted() -> bool:
    """Whether stdout takes colours: a terminal, and `NO_COLOR` not set."""
    return is_terminal() and not os.environ.get("NO_COLOR")
