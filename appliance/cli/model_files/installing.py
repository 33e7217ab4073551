"""What the commands share that install files without the service: progress, and telling a service that runs."""

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
    """Raise unless this is a file that can be imported.

    Raises:
        NotFound: there is no such file.
        DocentError: it is a folder, a pipe or a device.
    """
    what = f"importing {display_name(os.fsencode(file))}"
    if not os.path.lexists(file):
        raise NotFound(what, "there is no such file", "check the path")
    try:
        require_regular(file, what)
    except OSError as error:
        raise DocentError(what, error.strerror or str(error), "make the file readable for you") from None


def require_regular(file: Path, what: str) -> None:
    """Raise `DocentError` for what is no file: opening a pipe would wait for its writer for ever.

    Raises:
        OSError: it cannot be looked at.
    """
    if not stat.S_ISREG(file.stat().st_mode):
        raise DocentError(what, "it is not a regular file", "copy its content into a file and name that")


@contextmanager
def progress_bar(name: str, *, quiet: bool = False, rate: bool = False) -> Iterator[Callable[[int, int], None]]:
    """A function that draws bytes done and bytes in all, on a terminal alone; with `rate` also how fast and how long."""
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
    """Tell a running service to look at the folders again; its models, or none where no service runs.

    The files are in place either way, so a service that refuses is told of and does not make the command fail.
    """
    try:
        with connect() as client:
            return client.rescan_models()
    except ServiceUnreachable:
        return []
    except DocentError as error:
        print_error(error)
        return []
