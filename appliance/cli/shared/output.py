"""Prints JSON, errors, tables and running text.

Text from documents, file names and models is cleaned here and never read as markup. Without a terminal there is no
colour and nothing is cut to a width, so that pipes see everything. `rich` is imported only by the functions that print
with it: the root command needs this module and must start fast.
"""

import json
import os
import re
import sys
import textwrap
from collections.abc import Iterable, Sequence
from itertools import zip_longest
from typing import TYPE_CHECKING, Any, Literal

from appliance.display.path_names import shown_argument
from appliance.display.safe_text import clean_line, clean_text, escape_json
from appliance.errors import AnyDocentError, outcome

if TYPE_CHECKING:
    from pydantic import BaseModel
    from rich.console import Console

__all__ = [
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
_LEAST_TEXT, _MOST_TEXT = 40, 100  # cells; longer lines are hard to read. Chosen by eye, like the two below.
_GAP = 2
_LEAST_CUT_COLUMN = 12
_NOT_IN_A_CELL = re.compile("[\n\t]+")


def is_terminal() -> bool:
    """Whether stdout is a terminal."""
    return sys.stdout.isatty()


def console(*, stderr: bool = False) -> "Console":
    """A console that prints text literally; without a terminal it neither colours nor cuts."""
    from rich.console import Console

    stream = sys.stderr if stderr else sys.stdout
    width = None if stream.isatty() else _PIPE_WIDTH
    return Console(file=stream, width=width, markup=False, emoji=False, highlight=False)


def text_width() -> int:
    """Width of running text in cells: the terminal's, within limits that are pleasant to read."""
    return max(_LEAST_TEXT, min(console().width - 1, _MOST_TEXT))


def print_json(value: object) -> None:
    """Prints one indented JSON document; control characters are escaped."""
    _write(escape_json(json.dumps(value, indent=2, ensure_ascii=False)))


def print_model(model: "BaseModel") -> None:
    """Prints an API object as the API sends it."""
    print_json(model.model_dump(mode="json", by_alias=True))


def print_text(text: str = "", *, stderr: bool = False) -> None:
    """Prints text after removing control and escape sequences."""
    _write(clean_text(text), stderr=stderr)


def counted(number: int | None, noun: str) -> str:
    """ "1 page", "2,000 pages"."""
    return f"{number or 0:,} {noun}{'' if number == 1 else 's'}"


def clean_name(name: str) -> str:
    """A document's name in a form that can be typed back: complete, with control characters as escapes."""
    return shown_argument(name)


def error_body(error: AnyDocentError) -> dict[str, str]:
    """The API's error object for an error of the service, of `models` or of `ingest`."""
    row = outcome(error)
    return {"message": str(error), "type": row.type, "code": row.code, "hint": error.hint}


def print_error(error: AnyDocentError, *, as_json: bool = False) -> None:
    """Prints an error with its hint as text on stderr, or with `as_json` as the API's object on stdout."""
    if as_json:
        print_json({"error": error_body(error)})
        return
    print_text(f"docent: {error}", stderr=True)
    if error.hint:
        print_text(f"  → {error.hint}", stderr=True)


def print_table(columns: Sequence[str], rows: Iterable[Sequence[str]], *, notes: Sequence[str] = ()) -> None:
    """Prints a table without frames.

    A column whose name ends in `>` is aligned right. One whose name ends in `…` is cut in the middle of its cells if
    there is too little room: names differ at their ends more often than at their beginnings.
    `notes` has one text per row; a text that is not empty is shown indented below its row.
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
    """`text` in at most `room` terminal cells: the first third and the last two thirds of what fits."""
    from rich.cells import cell_len, set_cell_size

    if cell_len(text) <= room:
        return text
    head = (room - 1) // 3
    end = set_cell_size(text[::-1], room - 1 - head)[::-1]
    return f"{set_cell_size(text, head)}…{end}"


def _room_for_cut_column(columns: Sequence[str], cells: Sequence[Sequence[str]], width: int) -> int:
    """The cells of `width` that the other columns leave for the one that may be cut."""
    from rich.cells import cell_len

    taken = 0
    for index, column in enumerate(columns):
        if not column.endswith("…"):
            taken += max(cell_len(text) for text in [column.rstrip(">"), *(row[index] for row in cells)]) + _GAP
    return max(_LEAST_CUT_COLUMN, width - taken - _GAP)


def print_fields(fields: Iterable[tuple[str, str]]) -> None:
    """Prints one name and value per line; long values wrap within their column."""
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
    """Indents `text`; wraps it on a terminal, keeps it on one line elsewhere."""
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
    """Whether stdout is a terminal and `NO_COLOR` is not set."""
    return is_terminal() and not os.environ.get("NO_COLOR")
