"""`docent add`: files into the library, each on its own.

A file that is refused does not stop the others; the exit code is the highest of theirs. A folder stands for the
documents below it, told by their names, hidden ones left out. `--wait` returns when each new document is indexed or has failed.
"""

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer

from appliance import naming
from appliance.cli.files import progress_bar, require_regular
from appliance.cli.options import JsonOption, command_group, complete_collection, connect, examples
from appliance.cli.output import amount, clean_name, error_body, print_error, print_json, print_text
from appliance.cli.waiting import Baseline, wait_for
from appliance.cli.watching import display
from appliance.client import Client
from appliance.errors import EXIT_FAILED, DocentError, InvalidRequest, NotFound, ServiceUnreachable, outcome
from appliance.wire import Document, DocumentAdded

app = command_group()
_SUFFIXES = frozenset(
    [
        ".pdf",
        ".epub",
        ".xps",
        ".oxps",
        ".mobi",
        ".azw",
        ".fb2",
        ".cbz",
        ".txt",
        ".md",
        ".html",
        ".htm",
        ".xhtml",
        ".docx",
        ".xlsx",
        ".pptx",
        ".svg",
        ".png",
        ".jpg",
        ".jpeg",
        ".tif",
        ".tiff",
        ".gif",
        ".bmp",
        ".jp2",
    ]
)
"""Of what is taken from a folder; a file that is named itself is sent whatever its name."""


@dataclass
class _Added:
    """What became of one file: added, then perhaps its document; or an error."""

    file: Path
    baseline: Baseline | None = None
    added: DocumentAdded | None = None
    document: Document | None = None
    error: DocentError | None = None

    @property
    def exit_code(self) -> int:
        if self.error:
            return outcome(self.error).exit_code
        return EXIT_FAILED if self.document and self.document.state == "failed" else 0


@app.command(
    epilog=examples(
        "docent add report.pdf",
        "docent add contracts/*.pdf --collection contracts --wait",
        "docent add report.pdf --replace",
    )
)
def add(
    files: Annotated[list[Path], typer.Argument(metavar="FILE", help="Documents, or folders of documents.")],
    collection: Annotated[
        str,
        typer.Option(
            "--collection", "-c", metavar="C", help="Subfolder of the library.", autocompletion=complete_collection
        ),
    ] = "",
    replace: Annotated[bool, typer.Option("--replace", help="Overwrite files of the same name.")] = False,
    wait: Annotated[bool, typer.Option("--wait", help="Return when they are indexed or have failed.")] = False,
    json: JsonOption = False,
) -> None:
    """Copy documents into the library, where the service reads them."""
    with connect() as client:
        results = [_add_one(client, path, collection, replace, quiet=json) for path in _expand(files)]
        if wait:
            _wait(client, results, quiet=json)
    if json:
        print_json(_as_json(results))
    raise typer.Exit(max(result.exit_code for result in results))


def _expand(paths: list[Path]) -> list[Path]:
    found: list[Path] = []
    for path in paths:
        found += _documents_below(path) if path.is_dir() else [path]
    return found


def _documents_below(folder: Path) -> list[Path]:
    inside = (path.relative_to(folder) for path in sorted(folder.rglob("*")) if path.suffix.lower() in _SUFFIXES)
    visible = [folder / path for path in inside if not any(part.startswith(".") for part in path.parts)]
    files = [path for path in visible if path.is_file()]
    if not files:
        raise InvalidRequest(f"adding {folder}", "there is no document in this folder", "name files or their folder")
    return files


def _add_one(client: Client, path: Path, collection: str, replace: bool, *, quiet: bool) -> _Added:
    result = _Added(path)
    try:
        with _opened(path) as file:
            name = path.name
            result.baseline = Baseline.of(client, _shown(f"{collection}/{name}" if collection else name))
            size = path.stat().st_size
            with progress_bar(name, quiet=quiet) as progress:
                result.added = client.add(
                    file, name, collection=collection, replace=replace, size=size, progress=progress
                )
    except ServiceUnreachable:
        raise
    except DocentError as error:
        result.error = error
    if not quiet:
        _report_added(result)
    return result


def _shown(path: str) -> str:
    """A path as the service shows it."""
    return naming.display(os.fsencode(path))


@contextmanager
def _opened(path: Path) -> Iterator[Any]:
    what = f"adding {_shown(str(path))}"
    try:
        require_regular(path, what)
        file = path.open("rb")
    except FileNotFoundError:
        raise NotFound(what, "there is no such file", "check the path") from None
    except OSError as error:
        raise DocentError(what, error.strerror or str(error), "make the file readable for you") from None
    with file:
        yield file


def _report_added(result: _Added) -> None:
    if result.error:
        print_error(result.error)
    elif result.added:
        verb = "replaced" if result.added.replaced else "added"
        print_text(f"{verb} {clean_name(result.added.document)} ({amount(result.added.size)})")


def _wait(client: Client, results: list[_Added], *, quiet: bool) -> None:
    for result in results:
        if result.added and result.baseline:
            with display(time.monotonic, quiet=quiet) as shown:
                path = result.added.document
                result.document = wait_for(client, path, result.baseline, time.monotonic, time.sleep, shown)
            if not quiet:
                _report_document(result.document)


def _report_document(document: Document) -> None:
    name = clean_name(document.document)
    if document.state == "failed":
        print_text(f"docent: {name}: {document.reason or 'failed'}", stderr=True)
        if document.hint:
            print_text(f"  → {document.hint}", stderr=True)
    else:
        print_text(f"indexed {name}: {document.pages} pages, {document.chunks} passages")


def _as_json(results: list[_Added]) -> dict[str, Any]:
    replies = [result.document or result.added for result in results]
    added = [reply.model_dump(mode="json") for reply in replies if reply]
    failed = [
        {"file": _shown(str(result.file)), "error": error_body(result.error)} for result in results if result.error
    ]
    return {"added": added, "failed": failed}
