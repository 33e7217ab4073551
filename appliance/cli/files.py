"""What the commands share that install files without the service: progress, and telling a service that runs."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from appliance.cli.options import connect
from appliance.cli.output import console, is_terminal, print_error
from appliance.errors import DocentError, NotFound, ServiceUnreachable
from appliance.terminal import clean_line
from appliance.wire import Model


def require_file(file: Path) -> None:
    """Raise `NotFound` where there is no such file."""
    if not os.path.lexists(file):
        shown = os.fsencode(file).decode("utf-8", "backslashreplace")
        raise NotFound(f"importing {shown}", "there is no such file", "check the path")


@contextmanager
def progress_bar(name: str, *, quiet: bool = False) -> Iterator[Callable[[int, int], None]]:
    """A function that draws bytes done and bytes in all, on a terminal alone."""
    if quiet or not is_terminal():
        yield lambda _done, _total: None
        return
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn

    columns = (TextColumn("{task.description}", markup=False), BarColumn(), DownloadColumn(binary_units=True))
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
