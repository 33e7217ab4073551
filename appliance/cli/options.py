"""What many commands share: options, the connection, completions.

Completions ask the service and stay silent where it does not answer.
"""

from typing import Annotated

import typer

from appliance.client import Client
from appliance.config import find_places
from appliance.errors import DocentError

JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON, as the API returns it.")]


def command_group() -> typer.Typer:
    """A command's Typer: plain help, no completion options of its own."""
    return typer.Typer(
        add_completion=False,
        rich_markup_mode=None,
        no_args_is_help=True,
        context_settings={"help_option_names": ["-h", "--help"]},
    )


def examples(*lines: str) -> str:
    """An epilog with example calls that the help prints as they are."""
    return "\n".join(["\b", "Examples:", *(f"  {line}" for line in lines)])


def connect() -> Client:
    """The client of this user's service; use as a context manager."""
    return Client(find_places().socket)


def complete_collection(incomplete: str) -> list[str]:
    """Collections of the first page of documents."""
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
    """Paths of the first page of documents."""
    try:
        with connect() as client:
            documents = client.document_page(limit=500).documents
    except DocentError:
        return []
    return [found.document for found in documents if found.document.startswith(incomplete)]


CollectionOption = Annotated[
    str | None,
    typer.Option("--collection", "-c", metavar="C", help="Only this collection.", autocompletion=complete_collection),
]
