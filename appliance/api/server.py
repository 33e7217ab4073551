"""Runs uvicorn on a socket that is already bound; the composition root stops it, not a signal handler of its own."""

import asyncio
import contextlib
import logging
import socket
from collections.abc import Iterator

import uvicorn
from fastapi import FastAPI

from appliance.api.peer import PeerProtocol

_DRAIN_SECONDS = 1  # chosen by eye
_START_POLL_SECONDS = 0.005  # chosen by eye


class Server(uvicorn.Server):
    """Serves until `stop()`; open replies then have one second to finish before they are cancelled."""

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
        """Do nothing: the composition root handles signals."""
        yield

    async def serve_on(self, listener: socket.socket) -> None:
        """Serve until stopped."""
        await self.serve(sockets=[listener])

    async def wait_started(self, serving: "asyncio.Task[None]") -> None:
        """Return once connections are accepted; raises the error that ended `serving` before that."""
        while not self.started:
            if serving.done():
                serving.result()
                return
            await asyncio.sleep(_START_POLL_SECONDS)

    def stop(self) -> None:
        """Accept no further connections, close the open ones, and return from `serve_on`."""
        self.should_exit = True
