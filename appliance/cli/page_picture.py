"""Writes a page of a document to a PNG file: `docent documents show DOCUMENT --page N --png FILE`."""

import os
import secrets
from contextlib import suppress
from pathlib import Path

import typer

from appliance.cli.shared.output import clean_name, print_json, print_text
from appliance.client import Client, PageView
from appliance.display.humanize import amount
from appliance.display.path_names import display_name
from appliance.errors import Conflict, DocentError
from appliance.wire import Document

_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC


def require_whole(page: int | None, png: Path | None, marked: bool) -> None:
    """Raises BadParameter unless page and file are both given, or neither and nothing is to be marked."""
    if (page is None) != (png is None):
        missing = "--png FILE" if png is None else "--page N"
        raise typer.BadParameter(f"--page and --png go together: give {missing} as well")
    if page is None and marked:
        raise typer.BadParameter("--chunk, --quote, --dpi and --force go with --page N --png FILE")


def save_page(client: Client, document: Document, view: PageView, file: Path, *, force: bool, json: bool) -> None:
    """Fetches the picture and writes it, whole or not at all.

    Raises:
        Conflict: the file exists and `force` is not set.
        DocentError: the file cannot be written.
    """
    what = f"writing {display_name(os.fsencode(file))}"
    if not force and os.path.lexists(file):
        raise _exists(what)
    picture = client.page(document.id, view)
    try:
        _write(file, picture.png, what, force=force)
    except OSError as error:
        raise DocentError(what, error.strerror or str(error), "choose a file in a folder that you may write") from None
    if json:
        print_json(
            {
                "document": document.document,
                "page": view.page,
                "file": display_name(os.fsencode(file)),
                "width": picture.width,
                "height": picture.height,
                "dpi": picture.dpi,
                "size": len(picture.png),
            }
        )
        return
    size = f"{picture.width} × {picture.height} pixels, {amount(len(picture.png))}"
    print_text(f"page {view.page} of {clean_name(document.document)}: {display_name(os.fsencode(file))} ({size})")
    if picture.dpi < view.dpi:
        print_text(f"docent: the page is so large that it was drawn at {picture.dpi} dpi", stderr=True)


def _exists(what: str) -> Conflict:
    return Conflict(what, "it exists already", "choose another name, or overwrite it with --force")


def _write(file: Path, content: bytes, what: str, *, force: bool) -> None:
    temporary = file.with_name(f".{secrets.token_hex(8)}.part")
    descriptor = os.open(temporary, _NEW, 0o666)
    try:
        with os.fdopen(descriptor, "wb") as stream:
            stream.write(content)
            stream.flush()
            os.fsync(stream.fileno())
        _publish(temporary, file, what, force=force)
    finally:
        with suppress(FileNotFoundError):
            os.unlink(temporary)


def _publish(temporary: Path, file: Path, what: str, *, force: bool) -> None:
    if force:
        os.replace(temporary, file)
        return
    try:
        os.link(temporary, file)  # unlike a rename, never overwrites
    except FileExistsError:
        raise _exists(what) from None
    except PermissionError:  # a file system without links, as on a USB stick
        if os.path.lexists(file):
            raise _exists(what) from None
        os.rename(temporary, file)
