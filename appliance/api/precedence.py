"""Questions go before the reading of documents, from the request's first byte to the last byte of its answer."""

from starlette.types import ASGIApp, Receive, Scope, Send

from appliance.embedding.question_priority import QuestionsFirst

_QUESTIONS = {"/search", "/ask", "/v1/chat/completions", "/v1/completions", "/v1/embeddings"}


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
