"""Which document a name means: its path in the library as it is shown, the path of its file, its id, or a bare file name.

They are tried in this order, and a bare name counts only where one document alone has it: nothing is ever guessed. What
is not found is told with the names that come near.
"""

import difflib
import os
from pathlib import Path, PurePath

from appliance.client import Client
from appliance.config import find_places
from appliance.errors import EXIT_NOT_FOUND, ApiError, UnknownDocument, outcome
from appliance.naming import shown_argument
from appliance.wire import Document

_MOST_GUESSES = 3
_NEAR = 0.6


def find_document(client: Client, path: str) -> Document | None:
    """The document of exactly this path, if there is one."""
    return next(iter(client.document_page(limit=1, document=shown_argument(path)).documents), None)


def resolve(client: Client, name: str) -> Document:
    """The document of this name.

    Raises:
        UnknownDocument: there is none, or several have this file name.
    """
    for path in dict.fromkeys((name, *_in_library(name, find_places().library))):
        if found := find_document(client, path):
            return found
    try:
        return client.document(name)
    except (ApiError, UnknownDocument) as error:
        if outcome(error).exit_code != EXIT_NOT_FOUND:
            raise
    return _by_file_name(client, name)


def _in_library(name: str, library: Path) -> list[str]:
    """The path in the library of a file that lies in it, with and without following links on the way there."""
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


def _by_file_name(client: Client, name: str) -> Document:
    documents = {document.document: document for document in client.documents()} if name.strip("./") else {}
    same = [path for path in documents if path.rpartition("/")[2] == name]
    if len(same) == 1:
        return documents[same[0]]
    near = same or _near(name, list(documents))
    guess = f"did you mean {' or '.join(near[:_MOST_GUESSES])}? " if near else ""
    why = f"{len(same)} documents have this file name" if same else "there is no such document"
    raise UnknownDocument(f"document {name!r}", why, f"{guess}`docent documents list` shows all names and ids")


def _near(name: str, paths: list[str]) -> list[str]:
    """The paths that are like the name, or whose file's name is; the nearest first."""
    wanted = name.lower()
    whole = {path.lower(): path for path in paths}
    last = {path.lower().rpartition("/")[2]: path for path in paths}
    found = difflib.get_close_matches(wanted, whole, _MOST_GUESSES, _NEAR)
    files = difflib.get_close_matches(wanted.rpartition("/")[2], last, _MOST_GUESSES, _NEAR)
    return list(dict.fromkeys([*(last[one] for one in files), *(whole[one] for one in found)]))
