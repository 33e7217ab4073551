"""How a failure is told, on every route and in every stream."""

from typing import Annotated

from pydantic import BeforeValidator

from appliance.wire.base import Reply


def _unicode(text: object) -> object:
    """Half a surrogate pair, as file names and broken clients bring it, becomes a question mark."""
    return text.encode("utf-8", "replace").decode() if isinstance(text, str) else text


Told = Annotated[str, BeforeValidator(_unicode)]
"""Text that repeats what somebody sent."""


class ErrorBody(Reply):
    """What failed, its stable code, and what to do next."""

    message: Told
    type: str
    code: str
    hint: Told = ""


class ErrorReply(Reply):
    """Every failure has this shape."""

    error: ErrorBody
