"""Options, arguments, completions and the connection that commands share.

Completions query the service and offer nothing if it does not answer.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated

import typer

from appliance.cli.shared.interrupts import reliable_interrupts
from appliance.client import Client
from appliance.config.places import find_places
from appliance.display.path_names import shown_argument
from appliance.errors import DocentError
from appliance.wire import MAX_QUERY_CHARS

JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON, as the API returns it.")]


def command_group() -> typer.Typer:
    """A Typer with plain help and without completion options of its own."""
    return typer.Typer(
        add_completion=False,
        rich_markup_mode=None,
        no_args_is_help=True,
        context_settings={"help_option_names": ["-h", "--help"]},
    )


def examples(*lines: str) -> str:
    """A help epilog that lists these calls verbatim."""
    return "\n".join(["\b", "Examples:", *(f"  {line}" for line in lines)])


@contextmanager
def connect() -> Iterator[Client]:
    """Yields a client of this user's service; Ctrl-C interrupts its waits."""
    with reliable_interrupts(), Client(find_places().socket) as client:
        yield client


def text_argument(value: str | None) -> str | None:
    """Callback for an argument that is not a file name: requires valid text."""
    if value is not None and not is_text(value):
        raise typer.BadParameter("it is not UTF-8 text; set the terminal and its locale to UTF-8")
    return value


def texts_argument(values: list[str] | None) -> list[str] | None:
    """`text_argument` for a repeatable option."""
    for value in values or []:
        text_argument(value)
    return values


def name_argument(value: str | None) -> str | None:
    """Callback for a document's or collection's name: any bytes, converted to the form that the service shows."""
    return None if value is None else shown_argument(value)


def name_arguments(values: list[str] | None) -> list[str]:
    """`name_argument` for a list."""
    return [shown_argument(value) for value in values or ()]


def is_text(value: str) -> bool:
    """False if the value contains bytes that the locale could not decode."""
    return not any("\ud800" <= character <= "\udfff" for character in value)


def checked_query(given: str, what: str, argument: str) -> str:
    """A question or query without the space around it.

    Raises:
        BadParameter: it is empty, too long or not text.
    """
    text = given.strip()
    reason = ""
    if not text:
        reason = f"the {what} is empty"
    elif not is_text(text):
        reason = f"the {what} is not UTF-8"
    elif len(text) > MAX_QUERY_CHARS:
        reason = f"the {what} has {len(text):,} characters; at most {MAX_QUERY_CHARS:,} are allowed"
    if reason:
        raise typer.BadParameter(reason, param_hint=argument)
    return text


def complete_collection(incomplete: str) -> list[str]:
    """Collections among the first 500 documents."""
    try:
        with connect() as client:
            documents = client.document_page(limit=500).documents
    except DocentError:
        return []
    return sorted({found.collection for found in documents if found.collection.startswith(incomplete)} - {""})


def complete_model(incomplete: str) -> list[str]:
    """Ids of the installed models."""
    try:
        with connect() as client:
            return [model.id for model in client.models() if model.id.startswith(incomplete)]
    except DocentError:
        return []


def complete_document(incomplete: str) -> list[str]:
    """Paths of the first 500 documents."""
    try:
        with connect() as client:
            documents = client.document_page(limit=500).documents
    except DocentError:
        return []
    return [found.document for found in documents if found.document.startswith(incomplete)]


CollectionOption = Annotated[
    str | None,
    typer.Option(
        "--collection",
        "-c",
        metavar="C",
        help="Only this collection.",
        autocompletion=complete_collection,
        callback=name_argument,
    ),
]


InstallIdOption = Annotated[
    str | None, typer.Option("--id", metavar="ID", help="Its id; default: the file's name.", callback=text_argument)
]
