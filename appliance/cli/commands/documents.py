"""`docent documents`: lists, shows, removes and retries documents, by any name that `document_names` resolves."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Annotated, Any

import typer

from appliance.cli.page_picture import require_whole, save_page
from appliance.cli.reading_progress.waiting import why_empty
from appliance.cli.shared.document_names import resolve
from appliance.cli.shared.options import (
    CollectionOption,
    JsonOption,
    command_group,
    complete_document,
    connect,
    examples,
    name_argument,
    name_arguments,
    text_argument,
)
from appliance.cli.shared.output import (
    clean_name,
    counted,
    print_fields,
    print_json,
    print_model,
    print_table,
    print_text,
)
from appliance.client import Client, PageView
from appliance.display.humanize import amount, document_pace, pages_of, queue_pace, unread_pages
from appliance.display.safe_text import clean_line
from appliance.wire import LEAST_DPI, MOST_DPI, USUAL_DPI, Document, DocumentState, Reading, Status

app = command_group()


def _named(words: str, callback: Callable[..., object] = name_argument) -> Any:
    """An argument that names one document, or several."""
    return typer.Argument(metavar="DOCUMENT", help=words, autocompletion=complete_document, callback=callback)


@app.callback()
def _documents() -> None:
    """List, show, remove and retry documents."""


@app.command("list", epilog=examples("docent documents list", "docent documents list --state failed"))
def list_documents(
    state: Annotated[DocumentState | None, typer.Option("--state", help="Only documents in this state.")] = None,
    collection: CollectionOption = None,
    json: JsonOption = False,
) -> None:
    """List the documents and the progress of each."""
    with connect() as client:
        found = list(client.documents(state=state, collection=collection))
        in_work = any(document.state in ("pending", "indexing") for document in found)
        empty = not found and state is None and collection is None
        status = client.status() if not json and (in_work or empty) else None
    if json:
        print_json({"documents": [document.model_dump(mode="json") for document in found], "next": None})
    elif found:
        notes = [_note(document) for document in found]
        print_table(("document…", "state", "pages>", "size>", "modified", "id"), map(_row, found), notes=notes)
        if status and (pace := _whole_queue(status)):
            print_text(f"\nreading in all: {pace}")
        if any(document.reason or document.pages_skipped for document in found):
            print_text("\n`docent documents show DOCUMENT` says why, and what to do about it.")
    else:
        print_text((why_empty(status) if status else "") or _none(state, collection))


def _note(document: Document) -> str:
    """The line below a document's row: why it failed, or its speed and its unreadable pages."""
    parts = (document_pace(document), unread_pages(document.pages_skipped))
    return document.reason or "; ".join(filter(None, parts))


def _whole_queue(status: Status) -> str:
    """The queue's speed and time left; empty for a single document, whose row says the same.

    Page counts are left out: the status is newer than the rows, and its counts would contradict theirs.
    """
    return queue_pace(status.progress) if status.progress and status.queue > 1 else ""


def _none(state: str | None, collection: str | None) -> str:
    of_state = f" is {state}" if state else ""
    where = f" of the collection {collection!r}" if collection else " at the library's root" if collection == "" else ""
    return f"No document{where}{of_state}." if state else f"There are no documents{where}."


def _row(document: Document) -> tuple[str, ...]:
    modified = document.modified[:16].replace("T", " ")
    name = clean_name(document.document)
    return name, document.state, pages_of(document), amount(document.size), modified, document.id


@app.command(
    epilog=examples(
        "docent documents show contracts/lease.pdf",
        "docent documents show manual.pdf --page 4 --png page.png --chunk c17",
        "docent documents show manual.pdf --page 4 --png page.png --quote 'Change the filter every 500 hours'",
    )
)
def show(
    name: Annotated[str, _named("Its path in the library, its file's name or path, or its id.")],
    page: Annotated[int | None, typer.Option("--page", metavar="N", min=1, help="The page to draw.")] = None,
    png: Annotated[Path | None, typer.Option("--png", metavar="FILE", help="Draw the page into this file.")] = None,
    chunk: Annotated[
        str | None,
        typer.Option("--chunk", metavar="ID", help="Mark the passage with this chunk_id.", callback=text_argument),
    ] = None,
    quote: Annotated[
        str | None, typer.Option("--quote", metavar="TEXT", help="Mark these words.", callback=text_argument)
    ] = None,
    dpi: Annotated[
        int | None,
        typer.Option("--dpi", metavar="N", min=LEAST_DPI, max=MOST_DPI, help="Dots per inch; default: 144."),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Overwrite the file.")] = False,
    json: JsonOption = False,
) -> None:
    """Show how a document was read, or draw one of its pages. If it failed, show why and what to do."""
    require_whole(page, png, bool(chunk or quote or dpi or force))
    with connect() as client:
        document = resolve(client, name)
        if page is not None and png is not None:
            view = PageView(page, dpi or USUAL_DPI, chunk, quote)
            save_page(client, document, view, png, force=force, json=json)
            return
        document = client.document(document.id)
    if json:
        print_model(document)
    else:
        print_fields(_fields(document))


def _fields(document: Document) -> list[tuple[str, str]]:
    fields = [
        ("document", clean_name(document.document)),
        ("id", document.id),
        ("collection", document.collection or "none"),
        ("title", clean_line(document.title or "")),
        ("state", document.state),
        ("reason", document.reason or ""),
        ("hint", document.hint or ""),
        ("pages", pages_of(document)),
        ("progress", document_pace(document)),
        ("next attempt", document.next_attempt or ""),
        *(_how_read(document.reading) if document.reading else ()),
        ("passages", f"{document.chunks:,}"),
        ("size", amount(document.size)),
        ("modified", document.modified),
        *(_of_itself(document.reading) if document.reading else ()),
    ]
    return [(name, value) for name, value in fields if value]


_SOURCES = (
    ("text", "from their text"),
    ("ocr", "by text recognition"),
    ("skipped", "unreadable"),
    ("empty", "empty"),
)


def _how_read(reading: Reading) -> Iterator[tuple[str, str]]:
    counts = [f"{getattr(reading.sources, key):,} {words}" for key, words in _SOURCES if getattr(reading.sources, key)]
    yield "read", ", ".join(counts)
    for warning in reading.warnings:
        yield "warning", clean_line(warning)
    if reading.tables is not None:
        yield "tables", f"{reading.tables:,} rows" if reading.tables else "none"


def _of_itself(reading: Reading) -> Iterator[tuple[str, str]]:
    yield "author", clean_line(reading.author or "")
    yield "language", clean_line(reading.language or "")
    yield "period", clean_line(reading.period or "")
    yield "created", clean_line(reading.created or "")
    yield "changed", clean_line(reading.modified or "")
    versions = f"extractor {reading.extractor}, chunker {reading.chunker}, template {reading.template}"
    yield "revision", f"{reading.sha256} ({versions})"


@app.command(epilog=examples("docent documents remove old.pdf", "docent documents remove old.pdf --yes"))
def remove(
    name: Annotated[
        str | None,
        _named("Its path in the library, its file's path or its id; without --yes also its file's name."),
    ] = None,
    missing: Annotated[
        bool, typer.Option("--missing", help="Accept the library's folder as it is, and forget documents not in it.")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    json: JsonOption = False,
) -> None:
    """Delete a document. Its file leaves the library, with everything that was indexed from it."""
    if (name is None) != missing:
        raise typer.BadParameter("name a document, or give --missing")
    with connect() as client:
        if name is None:
            _remove_missing(client, yes=yes, json=json)
            return
        document = resolve(client, name, in_full=yes)
        if not yes:
            question = f"Delete the file {clean_name(document.document)} from the library?"
            typer.confirm(question, abort=True, err=True)  # on a no, the root command reports that nothing was removed
        removed = client.remove(document.id)
    if json:
        print_model(removed)
    else:
        print_text(f"removed {clean_name(removed.document)}")


def _remove_missing(client: Client, *, yes: bool, json: bool) -> None:
    if not yes:
        question = "Accept the library's folder as it is now, and forget every document that is not in it?"
        typer.confirm(question, abort=True, err=True)
    accepted = client.accept_library()
    if json:
        print_model(accepted)
    else:
        print_text(f"forgot {counted(accepted.missing, 'document')} that the library's folder does not hold")


@app.command(epilog=examples("docent documents retry scan.pdf", "docent documents retry --failed"))
def retry(
    names: Annotated[
        list[str] | None,
        _named("Their paths in the library, their files' names or paths, or their ids.", name_arguments),
    ] = None,
    failed: Annotated[bool, typer.Option("--failed", help="All that have failed.")] = False,
    json: JsonOption = False,
) -> None:
    """Read documents again that failed or have unreadable pages."""
    if bool(names) == failed:
        raise typer.BadParameter("name documents, or give --failed for all that have failed")
    with connect() as client:
        chosen = [resolve(client, name) for name in names or ()]
        done = [client.retry(one.id) for one in chosen or [*client.documents(state="failed")]]
    if json:
        several = {"documents": [document.model_dump(mode="json") for document in done]}
        print_json(several if failed or len(done) > 1 else several["documents"][0])
    for document in () if json else done:
        done_or_due = "will be read again" if document.state == "pending" else document.state
        print_text(f"{clean_name(document.document)}: {done_or_due}")
    if not (done or json):
        print_text("No document has failed.")
