"""Shared by the commands that install files without the service: file checks, progress, the rescan."""

import os
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from appliance.cli.shared.options import connect
from appliance.cli.shared.output import console, is_terminal, print_error
from appliance.display.path_names import display_name
from appliance.display.safe_text import clean_line
from appliance.errors import DocentError, NotFound, ServiceUnreachable
from appliance.wire import Model


def require_file(file: Path) -> None:
    """Checks that `file` can be imported.

    Raises:
        NotFound: there is no such file.
        DocentError: it is a folder, a pipe or a device, or cannot be looked at.
    """
    what = f"importing {display_name(os.fsencode(file))}"
    if not os.path.lexists(file):
        raise NotFound(what, "there is no such file", "check the path")
    try:
        require_regular(file, what)
    except OSError as error:
        raise DocentError(what, error.strerror or str(error), "give yourself the right to read the file") from None


def require_regular(file: Path, what: str) -> None:
    """Raises DocentError unless this is a regular file: opening a pipe would wait for its writer for ever.

    Raises:
        OSError: it cannot be looked at.
    """
    if not stat.S_ISREG(file.stat().st_mode):
        raise DocentError(what, "it is not a regular file", "copy its content into a file and name that")


@contextmanager
def progress_bar(name: str, *, quiet: bool = False, rate: bool = False) -> Iterator[Callable[[int, int], None]]:
    """Yields a function of bytes done and total bytes that draws a bar, on a terminal only.

    With `rate` the bar also shows the speed and the time left.
    """
    if quiet or not is_terminal():
        yield lambda _done, _total: None
        return
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn

    further = (TransferSpeedColumn(), TimeRemainingColumn()) if rate else ()
    columns = (TextColumn("{task.description}", markup=False), BarColumn(), DownloadColumn(binary_units=True), *further)
    with Progress(*columns, console=console(stderr=True), transient=True) as bars:
        task = bars.add_task(clean_line(name), total=None)
        yield lambda done, total: bars.update(task, completed=done, total=total)


def rescan() -> list[Model]:
    """Asks a running service to rescan the folders; returns its models, or none without a service.

    The files are in place either way, so a refusal is reported and does not fail the command.
    """
    try:
        with connect() as client:
            return client.rescan_models()
    except ServiceUnreachable:
        return []
    except DocentError as error:
        print_error(error)
        return []
