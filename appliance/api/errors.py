"""Turns every failure into `{"error": {"message", "type", "code", "hint"}}`, by the one table in `appliance.errors`."""

from math import ceil
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

from appliance import wire
from appliance.api.streaming import ClientGone
from appliance.errors import ANY_DOCENT_ERROR, AnyDocentError, ApiError, Busy, LibraryAway, NotReady, outcome, status_of
from models.errors import ModelBusy, ProviderOpen

_RETRY_AFTER_SECONDS = 2  # chosen by eye
_CLIENT_GONE = 499
_MOST_OFFENCES = 8
"""Wrong fields listed in one message."""
_HTTP_CODES = {
    404: ("not_found_error", "route_not_found"),
    405: ("invalid_request_error", "method_not_allowed"),
    413: ("invalid_request_error", "too_large"),
}


def install_error_handlers(app: FastAPI) -> None:
    """Translate every error that a route raises; the server logs an unforeseen one, and the client gets a plain 500."""
    for kind in ANY_DOCENT_ERROR:
        app.add_exception_handler(kind, _on_docent_error)
    app.add_exception_handler(RequestValidationError, _on_invalid)
    app.add_exception_handler(HTTPException, _on_http)
    for gone in (ClientGone, ClientDisconnect):
        app.add_exception_handler(gone, _on_gone)
    app.add_exception_handler(Exception, _on_unforeseen)


def error_body(error: AnyDocentError) -> wire.ErrorBody:
    """Build the part of an error that a client sees."""
    message = error.message if isinstance(error, ApiError) else f"{error.what}: {error.why}"
    row = outcome(error)
    return wire.ErrorBody(message=message, type=row.type, code=row.code, hint=error.hint)


def error_reply(error: AnyDocentError) -> JSONResponse:
    """Build the reply for one of Docent's errors; `Retry-After` says when a temporary one is worth a retry."""
    return _reply(outcome(error).status, error_body(error), _retry_after(error))


def body_reply(body: wire.ErrorBody) -> JSONResponse:
    """Build the reply for an error of which only the body is left; its `code` gives the status."""
    return _reply(status_of(body.code), body)


def malformed() -> JSONResponse:
    """Build the reply to bytes that are not HTTP."""
    hint = "use HTTP/1.1, e.g. `curl --unix-socket`; see docs/api.md"
    body = wire.ErrorBody(
        message="the request is not well-formed HTTP", type="invalid_request_error", code="invalid_request", hint=hint
    )
    return _reply(400, body, {"Connection": "close"})


def too_many_clients(most: int) -> JSONResponse:
    """Build the reply to a connection beyond the limit of `most`."""
    body = wire.ErrorBody(
        message=f"the service already has {most} clients, the most it accepts",
        type="rate_limit_error",
        code="too_many_clients",
        hint="try again in a few seconds, or raise max_clients in [service]",
    )
    return _reply(503, body, {"Connection": "close", "Retry-After": str(_RETRY_AFTER_SECONDS)})


def _retry_after(error: AnyDocentError) -> dict[str, str] | None:
    if isinstance(error, ProviderOpen):
        return {"Retry-After": str(max(_RETRY_AFTER_SECONDS, ceil(error.retry_s)))}
    temporary = isinstance(error, Busy | ModelBusy | NotReady | LibraryAway)
    return {"Retry-After": str(_RETRY_AFTER_SECONDS)} if temporary else None


def _reply(status: int, body: wire.ErrorBody, headers: Any = None) -> JSONResponse:
    return JSONResponse(wire.ErrorReply(error=body).model_dump(), status, headers=headers)


async def _on_docent_error(_: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, ANY_DOCENT_ERROR)
    return error_reply(error)


async def _on_invalid(_: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)
    offences = "; ".join(f"{_place(item['loc'])}: {item['msg']}" for item in error.errors()[:_MOST_OFFENCES])
    hint = "see docs/api.md, or GET /openapi.json, for the fields of this request"
    body = wire.ErrorBody(
        message=f"the request is not valid: {offences}", type="invalid_request_error", code="invalid_request", hint=hint
    )
    return _reply(400, body)


def _place(location: tuple[Any, ...]) -> str:
    return ".".join(str(part) for part in location if part != "body") or "body"


async def _on_http(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)
    kind, code = _HTTP_CODES.get(error.status_code, ("invalid_request_error", "invalid_request"))
    body = wire.ErrorBody(
        message=f"{request.method} {request.url.path}: {error.detail}",
        type=kind,
        code=code,
        hint="see docs/api.md, or GET /openapi.json, for the routes and their fields",
    )
    return _reply(error.status_code, body, error.headers)


async def _on_gone(_: Request, __: Exception) -> Response:
    return Response(
        status_code=_CLIENT_GONE
    )  # never read; a client that leaves must not appear as a failure in the log


async def _on_unforeseen(request: Request, error: Exception) -> JSONResponse:
    body = wire.ErrorBody(
        message=f"{request.method} {request.url.path} failed: {type(error).__name__}",
        type="server_error",
        code="internal_error",
        hint="see the service's log for the details: journalctl -u docent",
    )
    return _reply(500, body)
