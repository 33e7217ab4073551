"""ASGI middleware around every request: body limit, priority of questions, and the reply when the service stops."""

import asyncio
from typing import Final

from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from appliance.api.errors import error_reply
from appliance.display.humanize import amount
from appliance.embedding.question_priority import QuestionsFirst
from appliance.errors import NotReady

MAX_BODY_BYTES: Final = 1 << 20
"""A body is held in memory whole, and its JSON takes up to 80 times its size. An upload is streamed to disk and has a
limit of its own."""
_UPLOAD: Final = ("POST", "/documents")
_QUESTIONS: Final = {"/search", "/ask", "/v1/chat/completions", "/v1/completions", "/v1/embeddings"}


class BodyLimit:
    """Raises 413 when a route reads past `MAX_BODY_BYTES`."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or (scope["method"], scope["path"]) == _UPLOAD:
            await self._app(scope, receive, send)
            return
        read = 0

        async def limited() -> Message:
            nonlocal read
            message = await receive()
            read += len(message.get("body", b""))
            if read > MAX_BODY_BYTES:
                raise HTTPException(413, f"the request body is larger than {amount(MAX_BODY_BYTES)}")
            return message

        await self._app(scope, limited, send)


class QuestionPriority:
    """Puts questions before the reading of documents, from a request's first byte to the last byte of its answer."""

    def __init__(self, app: ASGIApp, gate: QuestionsFirst) -> None:
        self._app = app
        self._gate = gate

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"] not in _QUESTIONS:
            await self._app(scope, receive, send)
            return
        with self._gate.question():
            await self._app(scope, receive, send)


class ShutdownReply:
    """Answers a cancelled request with 503 instead of a broken connection, if its reply has not begun.

    Only a stopping server cancels a request as a whole.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
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
