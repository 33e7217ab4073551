"""What happens around every request, as ASGI middleware.

A body is held in memory whole, so it is limited; an upload's goes to the disk. Questions go before the reading of
documents, from the request's first byte to the last byte of its answer. Requests still at work when the service stops
are cancelled by the server, and say why.
"""

import asyncio

from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from appliance.api.errors import error_reply
from appliance.embedding.question_priority import QuestionsFirst
from appliance.errors import NotReady

MAX_BODY_BYTES = 16 << 20
_UPLOAD = ("POST", "/documents")
_QUESTIONS = {"/search", "/ask", "/v1/chat/completions", "/v1/completions", "/v1/embeddings"}


class BodyLimit:
    """Middleware: reading on behind the limit raises 413."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        if scope["type"] != "http" or (scope["method"], scope["path"]) == _UPLOAD:
            await self._app(scope, receive, send)
            return
        read = 0

        async def limited() -> Message:
            nonlocal read
            message = await receive()
            read += len(message.get("body", b""))
            if read > MAX_BODY_BYTES:
                raise HTTPException(413, f"the body is longer than {MAX_BODY_BYTES} bytes")
            return message

        await self._app(scope, limited, send)


class Precedence:
    """ASGI middleware: tells the gate of every question while it is in flight."""

    def __init__(self, app: ASGIApp, gate: QuestionsFirst) -> None:
        self._app = app
        self._gate = gate

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"] not in _QUESTIONS:
            await self._app(scope, receive, send)
            return
        with self._gate.question():
            await self._app(scope, receive, send)


class StopReply:
    """Middleware: a cancelled request whose reply has not begun gets 503 instead of a broken connection."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request; only the server, when it stops, cancels one as a whole."""
        started = False

        async def watched(message: Message) -> None:
            nonlocal started
            started = True
            await send(message)

        try:
            await self._app(scope, receive, watched)
        except asyncio.CancelledError:
            if not started:
                reply = error_reply(
                    NotReady("the request", "the service is stopping", "send it again in a few seconds")
                )
                await reply(scope, receive, send)
