"""`docent documents`: list, show, remove and retry, by id or by path in the library."""

from typing import Annotated

import typer

from appliance.cli.options import (
    CollectionOption,
    JsonOption,
    command_group,
    complete_document,
    connect,
    examples,
    name_argument,
)
from appliance.cli.output import amount, clean_name, print_fields, print_json, print_model, print_table, print_text
from appliance.cli.waiting import empty_library, find_document
from appliance.client import Client
from appliance.terminal import clean_line
from appliance.wire import Document, DocumentState

app = command_group()

_Name = Annotated[
    str,
    typer.Argument(
        metavar="DOCUMENT",
        help="Its path in the library, or its id.",
        autocompletion=complete_document,
        callback=name_argument,
    ),
]


@app.callback()
def _documents() -> None:
    """List, show, remove and retry documents."""


@app.command("list", epilog=examples("docent documents list", "docent documents list --state failed"))
def list_documents(
    state: Annotated[DocumentState | None, typer.Option("--state", help="Only documents in this state.")] = None,
    collection: CollectionOption = None,
    json: JsonOption = False,
) -> None:
    """List the documents and how far each is."""
    filters = {key: value for key, value in (("state", state), ("collection", collection)) if value is not None}
    with connect() as client:
        found = list(client.documents(**filters))
    if json:
        print_json({"documents": [document.model_dump(mode="json") for document in found], "next": None})
    elif found:
        notes = [document.reason or "" for document in found]
        print_table(("document…", "state", "pages>", "size>", "modified", "id"), map(_row, found), notes=notes)
        if any(notes):
            print_text("\n`docent documents show DOCUMENT` says what to do about a document that failed.")
    else:
        print_text(_none(state, collection))


def _none(state: str | None, collection: str | None) -> str:
    if state is None and collection is None:
        return empty_library()
    of_state = f" is {state}" if state else ""
    where = f" of the collection {collection!r}" if collection else " at the library's root" if collection == "" else ""
    return f"No document{where}{of_state}." if state else f"There are no documents{where}."


def _row(document: Document) -> tuple[str, ...]:
    modified = document.modified[:16].replace("T", " ")
    name = clean_name(document.document)
    return name, document.state, _pages(document), amount(document.size), modified, document.id


def _pages(document: Document) -> str:
    if document.pages is None:
        return ""
    return str(document.pages) if document.state == "indexed" else f"{document.pages_done}/{document.pages}"


@app.command(epilog=examples("docent documents show contracts/lease.pdf"))
def show(name: _Name, json: JsonOption = False) -> None:
    """Show one document; where it failed, why and what to do."""
    with connect() as client:
        document = resolve(client, name)
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
        ("next attempt", document.next_attempt or ""),
        ("pages", _pages(document)),
        ("passages", f"{document.chunks:,}"),
        ("size", amount(document.size)),
        ("modified", document.modified),
    ]
    return [(name, value) for name, value in fields if value]


@app.command(epilog=examples("docent documents remove old.pdf", "docent documents remove old.pdf --yes"))
def remove(
    name: _Name,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    json: JsonOption = False,
) -> None:
    """Delete a document's file from the library, and with it everything known of it."""
    with connect() as client:
        document = resolve(client, name)
        if not yes:
            question = f"Delete the file {clean_name(document.document)} from the library?"
            typer.confirm(question, abort=True, err=True)  # the root command says that nothing was removed
        removed = client.remove(document.id)
    if json:
        print_model(removed)
    else:
        print_text(f"removed {clean_name(removed.document)}")


@app.command(epilog=examples("docent documents retry scan.pdf"))
def retry(name: _Name, json: JsonOption = False) -> None:
    """Read a failed document again."""
    with connect() as client:
        document = client.retry(resolve(client, name).id)
    if json:
        print_model(document)
    else:
        print_text(f"{clean_name(document.document)}: {document.state}")


def resolve(client: Client, name: str) -> Document:
    """The document of this path or id; a path wins.

    Raises:
        ApiError: 404, there is none.
    """
    return find_document(client, name) or client.document(name)
