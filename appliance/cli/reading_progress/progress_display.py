"""Shows progress on stderr while documents are read: bars on a terminal, otherwise a line every ten seconds.

The files that the command added are counted separately from the service's queue, which may hold other users' files.
"""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import TYPE_CHECKING, Protocol

from appliance.cli.reading_progress.added_files import Tally
from appliance.cli.shared.output import clean_name, console, is_terminal, print_text
from appliance.client import Client
from appliance.display.humanize import document_pace, overall_pace, pages_of
from appliance.wire import Document, Status

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

    from appliance import wire

MOST_BARS = 6
LINE_SECONDS = 10.0


class Display(Protocol):
    """Shows the progress of the document at `path` and of the whole queue."""

    def show(self, client: Client, path: str, document: Document | None, status: Status) -> None: ...


class Silent:
    """Shows nothing."""

    def show(self, client: Client, path: str, document: Document | None, status: Status) -> None:
        """Does nothing."""


SILENT = Silent()


class Lines:
    """Writes a line every ten seconds if it differs from the previous one."""

    def __init__(self, clock: Callable[[], float], tally: Tally, write: Callable[[str], None]) -> None:
        self._clock = clock
        self._tally = tally
        self._write = write
        self._next = clock() + LINE_SECONDS
        self._last = ""

    def show(self, client: Client, path: str, document: Document | None, status: Status) -> None:
        """Writes the line, if one is due."""
        if self._clock() < self._next:
            return
        self._next = self._clock() + LINE_SECONDS
        self._tally.count(client)
        line = _line(path, document, status, self._tally)
        if line != self._last:
            self._last = line
            self._write(line)


def _line(path: str, document: Document | None, status: Status, tally: Tally) -> str:
    own = "waiting"
    if document is not None and document.state == "indexing":
        own = ", ".join(filter(None, [f"{pages_of(document) or '?'} pages", document_pace(document)]))
    queue = f"{_queue_name(status, tally)} {overall_pace(status.progress)}" if status.progress else ""
    return f"{clean_name(path)}: {'; '.join(filter(None, [own, _files(tally), queue]))}"


def _files(tally: Tally) -> str:
    return f"{tally.done:,} of {tally.total:,} files done" if tally.total > 1 else ""


def _queue_name(status: Status, tally: Tally) -> str:
    """A label for the service's progress: only the added files are queued, or others with them."""
    return "in all" if status.queue <= tally.total - tally.done else "with all others in the queue"


class Bars:
    """Draws a bar for each of the first documents being read, one for the added files and one for the whole queue."""

    def __init__(self, bars: "Progress", tally: Tally) -> None:
        self._bars = bars
        self._tally = tally
        self._tasks: dict[str, TaskID] = {}

    def show(self, client: Client, path: str, document: Document | None, status: Status) -> None:
        """Redraws the bars."""
        reading = client.document_page(limit=MOST_BARS, state="indexing").documents
        wanted = {one.id: (clean_name(one.document), one.pages_done, one.pages, _pace_of(one)) for one in reading}
        if document is None or (document.state == "pending" and len(wanted) < MOST_BARS):
            wanted["waiting"] = (clean_name(path), 0, None, "waiting")
        self._tally.count(client)
        if files := _files(self._tally):
            wanted["files"] = ("added", self._tally.done, self._tally.total, files)
        wanted["all"] = _whole(_queue_name(status, self._tally), status.progress)
        for key in self._tasks.keys() - wanted.keys():
            self._bars.remove_task(self._tasks.pop(key))
        if self._tasks.keys() != wanted.keys():
            for key in ("files", "all"):  # added again below the others
                if key in self._tasks:
                    self._bars.remove_task(self._tasks.pop(key))
        for key, (name, done, total, pace) in wanted.items():
            if key not in self._tasks:
                self._tasks[key] = self._bars.add_task(name, total=total, pace=pace)
            self._bars.update(self._tasks[key], description=name, completed=done, total=total, pace=pace)


def _pace_of(document: Document) -> str:
    return "  ".join(filter(None, [pages_of(document), document_pace(document)]))


def _whole(name: str, progress: "wire.Progress | None") -> tuple[str, int, int | None, str]:
    if progress is None:
        return name, 0, None, ""
    return name, progress.pages_done, progress.pages_total, overall_pace(progress)


@contextmanager
def _bars(tally: Tally) -> Iterator[Display]:
    from rich.progress import BarColumn, Progress, TextColumn
    from rich.table import Column

    name = TextColumn("{task.description}", markup=False, table_column=Column(no_wrap=True, max_width=40))
    pace = TextColumn("{task.fields[pace]}", markup=False, table_column=Column(no_wrap=True))
    with Progress(name, BarColumn(bar_width=20), pace, console=console(stderr=True), transient=True) as bars:
        yield Bars(bars, tally)


def display(clock: Callable[[], float], tally: Tally, *, quiet: bool) -> AbstractContextManager[Display]:
    """Bars on a terminal, otherwise lines; nothing if `quiet`."""
    if quiet:
        return nullcontext(SILENT)
    if is_terminal():
        return _bars(tally)
    return nullcontext(Lines(clock, tally, lambda line: print_text(line, stderr=True)))
