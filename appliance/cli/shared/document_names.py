"""Resolves a name to a document: its path in the library as shown, its file's path, its id, or a bare file name.

They are tried in this order. A bare file name counts only if exactly one document has it: nothing is guessed. Where the
wrong document would do harm (`documents remove --yes` run twice), the document has to be named in full (`in_full`): a
name without a slash is then a path in the library or an id, nothing else. The error for an unknown name lists similar
ones.
"""

import os
from pathlib import Path, PurePath

from appliance.client import Client
from appliance.config.places import find_places
from appliance.display.path_names import shown_argument
from appliance.errors import EXIT_NOT_FOUND, ApiError, UnknownDocument, outcome
from appliance.wire import Document

_MOST_GUESSES = 3  # in one error message
_MOST_NAMESAKES = 1000  # the service's largest page of documents


def find_document(client: Client, path: str) -> Document | None:
    """The document with exactly this path in the library, or None."""
    return next(iter(client.document_page(limit=1, document=shown_argument(path)).documents), None)


def resolve(client: Client, name: str, *, in_full: bool = False) -> Document:
    """The document that `name` means.

    Raises:
        UnknownDocument: there is none, several have this file name, or `in_full` and only a file name fits.
    """
    bare = in_full and "/" not in name
    for path in dict.fromkeys((name, *(() if bare else _in_library(name, find_places().library)))):
        if found := find_document(client, path):
            return found
    try:
        return client.document(name)
    except (ApiError, UnknownDocument) as error:
        if outcome(error).exit_code != EXIT_NOT_FOUND:
            raise
    return _by_file_name(client, name, in_full=in_full)


def _in_library(name: str, library: Path) -> list[str]:
    """The paths in the library that a file's path may mean, with and without following links in its folders."""
    named = os.path.abspath(name)
    ways = (
        (named, os.path.abspath(library)),
        (os.path.join(os.path.realpath(os.path.dirname(named)), os.path.basename(named)), os.path.realpath(library)),
    )
    return [
        shown_argument(os.path.relpath(file, folder))
        for file, folder in ways
        if PurePath(file).is_relative_to(folder) and file != folder
    ]


def _by_file_name(client: Client, name: str, *, in_full: bool) -> Document:
    alike = client.document_page(limit=_MOST_NAMESAKES, like=name).documents if name.strip("./") else []
    same = sum(document.document.rpartition("/")[2] == name for document in alike)
    if same == 1 and not in_full:
        return alike[0]
    near = [document.document for document in alike[:_MOST_GUESSES]]
    guess = f"did you mean {' or '.join(near)}? " if near else ""
    why = "there is no such document"
    if same > 1:
        why = f"{same} documents have this file name"
    elif same:
        why = "a file name alone is not enough with --yes; give the path in the library or the id"
    elif _is_collection(client, name.rstrip("/")):
        hint = f"`docent documents list --collection {shown_argument(name.rstrip('/'))}` shows its documents"
        delete = "to remove it, remove its documents one by one, or delete the folder"
        raise UnknownDocument(f"document {name!r}", "this is a collection", f"{hint}; {delete}")
    raise UnknownDocument(f"document {name!r}", why, f"{guess}`docent documents list` shows all names and ids")


def _is_collection(client: Client, name: str) -> bool:
    """Whether a collection that this user may see has this name; one without documents does not count."""
    if not name or "/" in name:
        return False
    try:
        return bool(client.document_page(limit=1, collection=shown_argument(name)).documents)
    except (ApiError, UnknownDocument) as error:
        if outcome(error).exit_code != EXIT_NOT_FOUND:
            raise
        return False
