"""The Library screen: every document with its state and progress, live; why one failed; retry and delete."""

from collections.abc import Callable, Iterable
from typing import ClassVar

from textual import on, work
from textual.binding import Binding, BindingType
from textual.content import Content
from textual.events import Resize
from textual.widget import Widget
from textual.widgets import DataTable, Static

from appliance import wire
from appliance.client import DocentError
from appliance.display.humanize import document_pace, overall_pace, unread_pages
from appliance.display.safe_text import clean_line
from tui.screens.base import ServiceScreen
from tui.screens.confirm import ConfirmScreen
from tui.widgets.document_table import DocumentTable

_REFRESH_SECONDS = 0.2  # chosen by eye
_BAR_WIDTH = 20
_GAP = "   "


def _needs_attention(document: wire.Document) -> bool:
    return document.state == "failed" or document.pages_skipped > 0


_IN_PROGRESS = 2
_FILTERS: tuple[tuple[str, Callable[[wire.Document], bool]], ...] = (
    ("all", lambda _: True),
    ("failed or with unread pages", _needs_attention),
    ("in progress", lambda document: document.state in ("pending", "indexing")),
)


class LibraryScreen(ServiceScreen):
    """The table of documents, and the details of the one under the cursor."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("r", "retry", "Retry"),
        Binding("d,delete", "remove", "Delete", key_display="d"),
        Binding("f", "filter", "Filter"),
    ]

    def body(self) -> Iterable[Widget]:
        yield Static(id="library-title", markup=False)
        yield DocumentTable(id="documents")
        yield Static(id="document-detail", markup=False)

    def on_mount(self) -> None:
        self._filter = 0
        self._stale = True
        super().on_mount()
        self.query_one(DocumentTable).focus()
        # Events may come faster than a terminal can draw.
        self.set_interval(_REFRESH_SECONDS, self._draw)

    def state_changed(self) -> None:
        self._stale = True

    def on_resize(self, _: Resize) -> None:
        self._stale = True  # the title depends on the width

    def _draw(self) -> None:
        if not self._stale:
            return
        self._stale = False
        name, chosen = _FILTERS[self._filter]
        documents = [document for document in self.state.documents.values() if chosen(document)]
        line = self.query_one("#library-title", Static)
        line.update(title(name, len(documents), self.state.status, line.content_size.width))
        self.query_one(DocumentTable).show(documents, by_state=self._filter == _IN_PROGRESS)
        self._show_detail()

    @on(DataTable.RowHighlighted)
    def _show_detail(self) -> None:
        document = self.query_one(DocumentTable).selected
        self.query_one("#document-detail", Static).update(detail(document) if document else _nothing(self._filter))
        self.refresh_bindings()

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Offers retry only for a document that needs it, and delete only if there is a document."""
        if action not in ("retry", "remove") or not self.is_mounted:
            return True
        document = self.query_one(DocumentTable).selected
        return document is not None and (action == "remove" or _needs_attention(document))

    def action_filter(self) -> None:
        """Switches to the next filter: all, failed or with unread pages, in progress."""
        self._filter = (self._filter + 1) % len(_FILTERS)
        self._stale = True

    @work(group="retry")
    async def action_retry(self) -> None:
        """Asks the service to read the document under the cursor again."""
        document = self.query_one(DocumentTable).selected
        if document:
            try:
                await self.client.retry(document.id)
            except DocentError as error:
                self._report(error)

    @work(group="remove")
    async def action_remove(self) -> None:
        """Deletes the document under the cursor, if the user confirms."""
        document = self.query_one(DocumentTable).selected
        if document is None:
            return
        question = f"Delete the file {clean_line(document.document)} from the library?"
        if await self.app.push_screen_wait(ConfirmScreen(question)):
            try:
                await self.client.remove(document.id)
            except DocentError as error:
                self._report(error)

    def _report(self, error: DocentError) -> None:
        self.notify(f"{clean_line(str(error))}\n{clean_line(error.hint)}", severity="error", markup=False)


def title(filtered: str, number: int, status: wire.Status | None, width: int) -> Content:
    """The filter and the count; then the queue's progress while documents are read, otherwise the unreadable pages.

    `width` is in cells. The time left has priority, then the bar, then the speed.
    """
    listed = Content(f"Library: {filtered} ({number:,})").stylize("bold")
    if status is None:
        return listed
    if status.progress is None:
        unread = unread_pages(status.skipped.pages)
        return listed + Content(_GAP + unread).stylize("$text-warning") if unread else listed
    progress = status.progress
    room = width - listed.cell_length - len(_GAP)
    bar = _bar(progress)
    for words in (overall_pace(progress), overall_pace(progress, brief=True)):
        if bar.cell_length + 1 + len(words) <= room:
            return listed + Content(_GAP) + bar + Content(f" {words}")
    return listed + Content(_GAP + overall_pace(progress, brief=True))


def _bar(progress: wire.Progress) -> Content:
    filled = min(_BAR_WIDTH, _BAR_WIDTH * progress.pages_done // max(1, progress.pages_total))
    return Content("━" * filled).stylize("$text-accent") + Content("─" * (_BAR_WIDTH - filled)).stylize("$text-muted")


def detail(document: wire.Document) -> Content:
    """Path, title and progress; what could not be read, why, and what to do."""
    lines = [Content(clean_line(document.document)).stylize("bold")]
    if pace := document_pace(document):
        lines.append(Content(f"{document.pages_done:,} of {document.pages:,} pages, {pace}").stylize("$text-accent"))
    if document.title:
        lines.append(Content(clean_line(document.title)).stylize("$text-muted"))
    if document.reason:
        lines.append(Content(clean_line(document.reason)).stylize("$text-error"))
    if unread := unread_pages(document.pages_skipped):
        why = f"`docent documents show {document.id}` says why; press r to read it again"
        lines.append(Content(f"{unread}: {why}").stylize("$text-warning"))
    if document.hint:
        lines.append(Content(f"→ {clean_line(document.hint)}"))
    return Content("\n").join(lines)


def _nothing(chosen: int) -> str:
    if chosen:
        return "No such documents. Press f for another filter."
    return "No documents yet. Copy files into the library folder, or use `docent add FILE`."
