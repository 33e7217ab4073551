"""uvicorn on a socket that is already bound, stopped by whoever runs it and by no signal handler of its own."""

import asyncio
import contextlib
import logging
import socket
from collections.abc import Iterator

import uvicorn
from fastapi import FastAPI

from appliance.api.peer import PeerProtocol

_DRAIN_SECONDS = 1
_START_POLL_SECONDS = 0.005


class Server(uvicorn.Server):
    """Serves until `stop()`; open replies then get a second to end before they are cancelled."""

    def __init__(self, app: FastAPI, max_clients: int) -> None:
        super().__init__(
            uvicorn.Config(
                app,
                http=PeerProtocol,
                ws="none",
                lifespan="off",
                log_config=None,
                log_level=logging.WARNING,
                access_log=False,
                server_header=False,
                date_header=False,
                proxy_headers=False,
                limit_concurrency=max_clients,
                timeout_graceful_shutdown=_DRAIN_SECONDS,
                timeout_keep_alive=30,
            )
        )

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave signals to the composition root."""
        yield

    async def serve_on(self, listener: socket.socket) -> None:
        """Serve until stopped."""
        await self.serve(sockets=[listener])

    async def wait_started(self, serving: "asyncio.Task[None]") -> None:
        """Return once connections are taken; raises what ended `serving` before that."""
        while not self.started:
            if serving.done():
                serving.result()
                return
            await asyncio.sleep(_START_POLL_SECONDS)

    def stop(self) -> None:
        """Take no further connection, end the open ones, return from `serve_on`."""
        self.should_exit = True
