"""Builds the requests that both clients send: address, time limits, routes and parameters. Pure."""

from typing import Any, Final
from urllib.parse import quote

import httpx2

from appliance.display.path_names import shown_argument
from appliance.errors import UnknownDocument

BASE_URL: Final = "http://docent"
"""The host is ignored: the connection is a Unix socket."""
TIMEOUT: Final = httpx2.Timeout(30.0, read=600.0)
"""Seconds; a whole answer may take minutes. Chosen by eye."""
EVENTS_TIMEOUT: Final = httpx2.Timeout(30.0, read=None)
"""Seconds; a stream of events may stay silent for any time."""


def document_route(document_id: str) -> str:
    """Build the route of one document.

    Raises:
        UnknownDocument: `document_id` cannot be an id; requesting it would reach another route.
    """
    shown = shown_argument(document_id)
    if not shown or "/" in shown or shown.strip(".") == "":
        raise UnknownDocument(
            f"document {shown!r}", "there is no such document", "`docent documents list` shows all ids"
        )
    return f"/documents/{quote(shown, safe='')}"


def model_route(model_id: str, action: str) -> str:
    """Build the route of an action on a model."""
    return f"/models/{quote(model_id, safe='')}/{action}"


def without_none(**values: Any) -> dict[str, Any]:
    """Drop the values that are None, so that they are not sent."""
    return {key: value for key, value in values.items() if value is not None}
