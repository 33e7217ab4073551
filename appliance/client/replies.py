"""Parses the service's replies into values of `wire`, or raises the error they report."""

import json
import struct
from dataclasses import dataclass
from typing import TypeVar

import httpx2
from pydantic import TypeAdapter, ValidationError

from appliance import wire
from appliance.errors import (
    EXIT_FAILED,
    EXIT_NOT_FOUND,
    EXIT_REFUSED,
    EXIT_USAGE,
    ApiError,
    Outcome,
    exit_code_of,
)
from appliance.wire import openai

R = TypeVar("R", bound=wire.Reply)
_ASK_EVENT: TypeAdapter[wire.AskEvent] = TypeAdapter(wire.AskEvent)
_PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_PNG_START = struct.Struct(">8s8xII")
_EXIT_BY_STATUS = {400: EXIT_USAGE, 403: EXIT_REFUSED, 404: EXIT_NOT_FOUND, 409: EXIT_REFUSED, 413: EXIT_REFUSED,
                   422: EXIT_USAGE, 429: EXIT_REFUSED}  # fmt: skip


def ask_event(line: str) -> wire.AskEvent:
    """Parse one line of a streamed answer; raises `ApiError` if it is not an event."""
    try:
        return _ASK_EVENT.validate_json(line)
    except ValidationError as error:
        raise _not_understood(error) from error


def parse(kind: type[R], response: httpx2.Response) -> R:
    """Parse a reply; raises `ApiError` for an error reply and for one of another shape."""
    if response.is_error:
        raise api_error(response)
    try:
        return kind.model_validate_json(response.content)
    except ValidationError as error:
        raise _not_understood(error) from error


@dataclass(frozen=True, slots=True)
class PagePicture:
    """A page as a PNG, its size in pixels, and its resolution in dots per inch."""

    png: bytes
    width: int
    height: int
    dpi: int


def page_picture(response: httpx2.Response) -> PagePicture:
    """Parse a picture of a page; raises `ApiError` for an error reply and for anything but a PNG."""
    if response.is_error:
        raise api_error(response)
    try:
        signature, width, height = _PNG_START.unpack_from(response.content)
        dpi = int(response.headers["Docent-Dpi"])
    except (struct.error, KeyError, ValueError):
        signature = b""
    if signature != _PNG_SIGNATURE:
        raise _other_shape("it is not a picture of a page")
    return PagePicture(response.content, width, height, dpi)


def event(line: str) -> wire.Event:
    """Parse one `data:` line of the event stream; raises `ApiError` if it is not an event."""
    try:
        return wire.Event.model_validate_json(line.removeprefix("data:"))
    except ValidationError as error:
        raise _not_understood(error) from error


def completion_chunk(line: str) -> openai.CompletionChunk | None:
    """Parse one line of a streamed completion, None if it carries no chunk; raises `ApiError` if it reports an error."""
    data = line.removeprefix("data:").strip()
    if not line.startswith("data:") or data == "[DONE]":
        return None
    try:
        chunk = openai.CompletionChunk.model_validate_json(data)
    except ValidationError as error:
        raise _not_understood(error) from error
    if chunk.error is not None:
        raise mid_stream_error(chunk.error)
    return chunk


def mid_stream_error(body: wire.ErrorBody) -> ApiError:
    """Turn the error body of a stream that had begun into an exception; its HTTP status was 200, so 500 stands in."""
    exit_code = exit_code_of(body.code) or EXIT_FAILED
    return ApiError(body.message, body.hint, Outcome(500, exit_code, body.type, body.code))


def _not_understood(error: ValidationError) -> ApiError:
    """The reply has an unknown shape: from another version, or not from a Docent service."""
    found = error.errors()[0]
    place = ".".join(str(part) for part in found["loc"]) or "the reply"
    return _other_shape(f"{place}: {found['msg']}")


def _other_shape(why: str) -> ApiError:
    message = f"the service's reply is not understood: {why}"
    return ApiError(
        message, "use a client of the same version as the service", Outcome(502, EXIT_FAILED, "server_error", "failed")
    )


def api_error(response: httpx2.Response) -> ApiError:
    """Turn an error reply into an exception; the exit code follows its `code`, else its HTTP status."""
    status = response.status_code
    exit_code = _EXIT_BY_STATUS.get(status, EXIT_FAILED)
    try:
        body = wire.ErrorReply.model_validate_json(response.content).error
    except ValidationError:
        text = json.dumps(response.text[:200])
        return ApiError(
            f"the service replied {status}: {text}", "", Outcome(status, exit_code, "server_error", "failed")
        )
    exit_code = exit_code_of(body.code) or exit_code
    return ApiError(body.message, body.hint, Outcome(status, exit_code, body.type, body.code))
