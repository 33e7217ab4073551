"""Waits until a document that was just added is indexed or has failed.

A final state counts only if the document differs from what it was before (`added_files.Baseline`), or if the service
has had nothing to do for some seconds, as after replacing a file by the same content.
"""

from collections.abc import Callable

from appliance.cli.reading_progress.added_files import Baseline
from appliance.cli.reading_progress.progress_display import SILENT, Display
from appliance.cli.shared.document_names import find_document
from appliance.cli.shared.output import clean_name
from appliance.client import Client
from appliance.config.places import find_places
from appliance.errors import NotFound
from appliance.wire import Document, Status

_POLL_SECONDS = 0.3
_QUIET_SECONDS = 6.0  # longer than a file needs to settle (2 s by default). Chosen by eye.


def why_empty(status: Status) -> str:
    """Why this user sees no document, and what to do; empty if there is one."""
    if any(status.documents.model_dump().values()):
        return ""
    if status.queue:
        arrived = "1 file has arrived and is" if status.queue == 1 else f"{status.queue:,} files have arrived and are"
        return f"{arrived} being read; try again in a moment."
    kinds = "PDFs, scans, pictures, e-books, Office files, web pages, texts"
    return f"The library is empty: put documents ({kinds}) into {find_places().library}, or use `docent add FILE`."


def wait_for(
    client: Client,
    path: str,
    baseline: Baseline,
    clock: Callable[[], float],
    sleep: Callable[[float], None],
    display: Display = SILENT,
) -> Document:
    """Returns the document once it is indexed or has failed; `display` shows the progress.

    Raises:
        NotFound: the file left the library before it was read.
    """
    quiet_since: float | None = None
    while True:
        document = find_document(client, path)
        if document and baseline.done_with(document):
            return document
        status = client.status()
        quiet_since = None if status.queue else quiet_since or clock()
        if quiet_since is not None and clock() - quiet_since > _QUIET_SECONDS:
            if document is None:
                raise NotFound(
                    f"waiting for {clean_name(path)}", "the file is no longer in the library", "add it again"
                )
            return document
        display.show(client, path, document, status)
        sleep(_POLL_SECONDS)
