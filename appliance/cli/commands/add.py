"""`docent add`: copies files into the library, one by one.

A file that is refused does not stop the others; the highest of their exit codes counts. A folder means the documents
below it, recognised by their names; other files are skipped and named, hidden ones silently. All files go to one folder
of the library, without the subfolders they come from, so two with the same name are refused before anything is sent: with `--replace` one would overwrite the
other. `--wait` returns when every added document is indexed or has failed.
"""

import os
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer

from appliance.cli.model_files.installing import progress_bar, require_regular
from appliance.cli.reading_progress.added_files import Baseline, Tally
from appliance.cli.reading_progress.progress_display import display
from appliance.cli.reading_progress.waiting import wait_for
from appliance.cli.shared.options import JsonOption, command_group, complete_collection, connect, examples
from appliance.cli.shared.output import clean_name, counted, error_body, print_error, print_json, print_text
from appliance.client import Client
from appliance.display import path_names
from appliance.display.humanize import amount
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
        ".log",
        ".csv",
        ".eml",
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
"""Names that count as documents in a folder. A file that is named itself is sent whatever its name is."""
_MOST_NAMED = 5  # file names in one message


@dataclass
class _Added:
    """The result for one file: the reply, then with `--wait` its document; or an error."""

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
    wait: Annotated[bool, typer.Option("--wait", help="Wait until they are indexed or have failed.")] = False,
    json: JsonOption = False,
) -> None:
    """Copy documents into the library, where the service reads them.

    The subfolders of a folder are not kept: all its documents go into one folder of the library.
    """
    found = _expand(files)
    _refuse_namesakes(found)
    with connect() as client:
        results = [_add_one(client, path, collection.rstrip("/"), replace, quiet=json) for path in found]
        if wait:
            try:
                _wait(client, results, quiet=json)
            except KeyboardInterrupt:
                print_text("stopped waiting; the service goes on reading", stderr=True)
                raise
    if json:
        print_json(_as_json(results))
    raise typer.Exit(max(result.exit_code for result in results))


def _expand(paths: list[Path]) -> list[Path]:
    found: list[Path] = []
    for path in paths:
        found += _documents_below(path) if path.is_dir() else [path]
    return found


def _documents_below(folder: Path) -> list[Path]:
    inside = (path.relative_to(folder) for path in sorted(folder.rglob("*")))
    visible = [folder / path for path in inside if not any(part.startswith(".") for part in path.parts)]
    files = [path for path in visible if path.is_file()]
    documents = [path for path in files if path.suffix.lower() in _SUFFIXES]
    if not documents:
        hint = "to add these files anyway, name each of them" if files else "name files, or a folder that holds some"
        raise InvalidRequest(f"adding {folder}", "there is no document in this folder", hint)
    if left := [_shown(str(path.relative_to(folder))) for path in files if path.suffix.lower() not in _SUFFIXES]:
        print_text(f"docent: {folder}: skipped {_some(left)}", stderr=True)
        print_text("  → to add one of them anyway, name the file itself", stderr=True)
    return documents


def _some(names: list[str]) -> str:
    """The first few names, and how many more there are."""
    more = len(names) - _MOST_NAMED
    return ", ".join(names[:_MOST_NAMED]) + (f" and {more} more" if more > 0 else "")


def _refuse_namesakes(files: list[Path]) -> None:
    """Raises InvalidRequest if two different files would get the same name in the library."""
    distinct = {os.path.realpath(path): path for path in files}
    name, times = next(iter(Counter(path.name for path in distinct.values()).most_common(1)), ("", 0))
    if times > 1:
        same = [_shown(str(path)) for path in distinct.values() if path.name == name]
        why = f"{_some(same)} would get the same name in the library, and one would overwrite the other"
        hint = "rename one of them, add them to different collections, or copy the folder itself into the library"
        raise InvalidRequest(f"adding {_shown(name)}", why, hint)


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
    """A path in the form that the service shows."""
    return path_names.display_name(os.fsencode(path))


@contextmanager
def _opened(path: Path) -> Iterator[Any]:
    what = f"adding {_shown(str(path))}"
    try:
        require_regular(path, what)
        file = path.open("rb")
    except FileNotFoundError:
        raise NotFound(what, "there is no such file", "check the path") from None
    except OSError as error:
        raise DocentError(what, error.strerror or str(error), "give yourself the right to read the file") from None
    with file:
        yield file


def _report_added(result: _Added) -> None:
    if result.error:
        print_error(result.error)
    elif result.added:
        verb = "replaced" if result.added.replaced else "added"
        print_text(f"{verb} {clean_name(result.added.document)} ({amount(result.added.size)})")


def _wait(client: Client, results: list[_Added], *, quiet: bool) -> None:
    baselines = {one.added.document: one.baseline for one in results if one.added and one.baseline}
    collection = next((one.added.collection for one in results if one.added), "")
    tally = Tally(collection, baselines, time.monotonic)
    for result in results:
        if result.added and result.baseline:
            with display(time.monotonic, tally, quiet=quiet) as shown:
                path = result.added.document
                result.document = wait_for(client, path, result.baseline, time.monotonic, time.sleep, shown)
            tally.finish(path)
            if not quiet:
                _report_document(client.document(result.document.id))


def _report_document(document: Document) -> None:
    name = clean_name(document.document)
    if document.state == "failed":
        print_text(f"docent: {name}: {document.reason or 'failed'}", stderr=True)
        if document.hint:
            print_text(f"  → {document.hint}", stderr=True)
    else:
        print_text(f"indexed {name}: {counted(document.pages, 'page')}, {counted(document.chunks, 'passage')}")
        if document.reading and (skipped := document.reading.sources.skipped):
            print_text(f"docent: {name}: {counted(skipped, 'page')} could not be read", stderr=True)
            print_text(f"  → `docent documents show {document.id}` says why", stderr=True)


def _as_json(results: list[_Added]) -> dict[str, Any]:
    replies = [result.document or result.added for result in results]
    added = [reply.model_dump(mode="json") for reply in replies if reply]
    failed = [
        {"file": _shown(str(result.file)), "error": error_body(result.error)} for result in results if result.error
    ]
    return {"added": added, "failed": failed}
