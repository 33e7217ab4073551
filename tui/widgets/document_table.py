"""The documents as a table with states, progress bars, and as many columns as fit.

Only cells that differ are updated: progress of one among a thousand documents costs one cell. Narrow terminals get
fewer columns; the document's name takes the width that the others leave.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, ClassVar

from rich.text import Text
from textual.binding import Binding, BindingType
from textual.events import Resize
from textual.widgets import DataTable

from appliance import wire
from appliance.display.humanize import amount, document_pace
from appliance.display.safe_text import clean_line

_BAR_WIDTH = 10
_STYLES = {"indexed": "green", "indexing": "cyan", "pending": "dim", "failed": "red"}
_LEAST_NAME, _CELL_PADDING, _SCROLLBAR = 16, 2, 2


@dataclass(frozen=True, slots=True)
class Column:
    """A column, the function that makes its cell, and the terminal width in cells from which it is shown."""

    key: str
    width: int
    from_width: int
    cell: Callable[[wire.Document], Text]


def progress_bar(document: wire.Document) -> Text:
    """The number of pages and of unread ones; a bar while they are being read."""
    if document.pages is None:
        return Text("")
    if document.state != "indexing":
        pages = Text(f"{document.pages:,}")
        return pages.append(f", {document.pages_skipped:,} unread", "yellow") if document.pages_skipped else pages
    done = min(document.pages_done, document.pages)
    filled = _BAR_WIDTH * done // max(1, document.pages)
    bar = Text("━" * filled, "cyan").append("─" * (_BAR_WIDTH - filled), "dim")
    return bar.append(f" {done}/{document.pages}", "default")


def _state(document: wire.Document) -> Text:
    return Text(document.state, _STYLES[document.state])


def _size(document: wire.Document) -> Text:
    return Text(f"{amount(document.size):>10}")


COLUMNS = (
    Column("State", 8, 0, _state),
    Column("Pages", 22, 0, progress_bar),
    Column("Pace", 28, 140, lambda document: Text(document_pace(document), "cyan")),
    Column("Passages", 8, 100, lambda document: Text(f"{document.chunks:>8,}")),
    Column("Size", 10, 120, _size),
    Column("Modified", 16, 120, lambda document: Text(document.modified[:16].replace("T", " "))),
)


class DocumentTable(DataTable[Text]):
    """Rows keyed by document id, sorted by path, or by state and then path."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("home", "scroll_top", "First", show=False),
        Binding("end", "scroll_bottom", "Last", show=False),
    ]

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id, cursor_type="row", zebra_stripes=True)
        self._shown: dict[str, wire.Document] = {}
        self._columns_shown: tuple[Column, ...] = ()
        self._name_width = 0
        self._order: tuple[str, ...] = ("Document",)

    def on_resize(self, event: Resize) -> None:
        width = event.size.width
        columns = tuple(column for column in COLUMNS if width >= column.from_width)
        taken = sum(column.width + _CELL_PADDING for column in columns) + _CELL_PADDING + _SCROLLBAR
        name_width = max(_LEAST_NAME, width - taken)
        if (columns, name_width) != (self._columns_shown, self._name_width):
            self._columns_shown, self._name_width = columns, name_width
            self._rebuild()

    def show(self, documents: Iterable[wire.Document], *, by_state: bool = False) -> None:
        """Makes the rows those of `documents`; `by_state` puts documents being indexed before pending ones."""
        wanted = {document.id: document for document in documents}
        order = (
            ("State", "Document") if by_state else ("Document",)
        )  # alphabetical order of the states is the right one
        moved, self._order = order != self._order, order
        if not self._columns_shown or (wanted == self._shown and not moved):
            self._shown = wanted
            return
        for document_id in self._shown.keys() - wanted.keys():
            self.remove_row(document_id)
        added = [document for key, document in wanted.items() if key not in self._shown]
        for key in wanted.keys() & self._shown.keys():
            moved |= by_state and wanted[key].state != self._shown[key].state
            self._update(self._shown[key], wanted[key])
        for document in added:
            self._add(document)
        self._shown = wanted
        selected = self.selected
        if added or moved:
            self._sort()
        if moved and selected:
            self.move_cursor(row=self.get_row_index(selected.id))

    @property
    def selected(self) -> wire.Document | None:
        """The document under the cursor."""
        if not self.row_count or not self.is_valid_row_index(self.cursor_row):
            return None
        key = self.coordinate_to_cell_key(self.cursor_coordinate).row_key.value
        return self._shown.get(key or "")

    def _rebuild(self) -> None:
        selected, documents = self.selected, self._shown
        self.clear(columns=True)
        self.add_column("Document", width=self._name_width, key="Document")
        for column in self._columns_shown:
            self.add_column(column.key, width=column.width, key=column.key)
        for document in documents.values():
            self._add(document)
        self._sort()
        if selected:
            self.move_cursor(row=self.get_row_index(selected.id))

    def _add(self, document: wire.Document) -> None:
        self.add_row(*(cell for _, cell in self._cells(document)), key=document.id)

    def _update(self, before: wire.Document, after: wire.Document) -> None:
        if before == after:
            return
        for key, cell in self._cells(after):
            self.update_cell(after.id, key, cell)

    def _cells(self, document: wire.Document) -> list[tuple[str, Text]]:
        name = Text(clean_line(document.document), no_wrap=True, overflow="ellipsis")
        return [("Document", name), *((column.key, column.cell(document)) for column in self._columns_shown)]

    def _sort(self) -> None:
        def words(row: Any) -> tuple[str, ...]:
            return tuple(map(str, row)) if isinstance(row, tuple) else (str(row),)

        self.sort(*self._order, key=words)
