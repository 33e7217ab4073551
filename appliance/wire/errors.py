"""The shape of a failure, on every route and in every stream."""

from typing import Annotated

from pydantic import BeforeValidator

from appliance.wire.base import Reply


def _unicode(text: object) -> object:
    """Replace lone surrogates, as found in file names and sent by broken clients, with question marks."""
    return text.encode("utf-8", "replace").decode() if isinstance(text, str) else text


ForeignText = Annotated[str, BeforeValidator(_unicode)]
"""Text that may quote a client's input or a file name."""


class ErrorBody(Reply):
    """What failed and why, a stable code for programs, and what to do next."""

    message: ForeignText
    type: str
    code: str
    hint: ForeignText = ""


class ErrorReply(Reply):
    """The reply to every failed request."""

    error: ErrorBody
