"""The end of requests that are still at work when the service stops: the server cancels them, and they say why."""

import asyncio

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from appliance.api.errors import error_reply
from appliance.errors import NotReady


class ToldOfStop:
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
