"""A server that sends scripted bytes on a real socket, to stand in for servers that behave badly."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

SHOW = {"model_info": {"llama.context_length": 4096}}
MODELS = {"data": [{"id": "m", "max_model_len": 4096}]}


@dataclass
class Scripted:
    """The raw reply for each path; `again` is repeated endlessly after an answer. Records what it receives."""

    replies: dict[str, bytes]
    again: bytes = b""
    hangs: bool = False
    seen: list[tuple[str, dict[str, str], Any]] = field(default_factory=list)
    asked: asyncio.Event = field(default_factory=asyncio.Event)
    left: asyncio.Event = field(default_factory=asyncio.Event)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
                while await self._one(reader, writer):
                    pass
        finally:
            self.left.set()
            writer.close()

    async def _one(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        first, *fields = head.strip().split("\r\n")
        headers = {name.lower(): value for name, value in (line.split(": ", 1) for line in fields)}
        body = await reader.readexactly(int(headers.get("content-length", "0")))
        path = first.split()[1]
        self.seen.append((path, headers, json.loads(body) if body else None))
        reply = self.replies[path]
        writer.write(reply)
        await writer.drain()
        if path in ("/v1/models", "/api/show"):
            return True
        self.asked.set()
        while self.again:
            writer.write(self.again)
            await writer.drain()
            await asyncio.sleep(0)
        if self.hangs:
            await reader.read()  # until the other side leaves
            return False
        return b"content-length" in reply.lower()


def whole(value: object, status: str = "200 OK", kind: str = "application/json", extra: str = "") -> bytes:
    """A reply with its length."""
    body = value if isinstance(value, bytes) else json.dumps(value).encode()
    return f"HTTP/1.1 {status}\r\nContent-Type: {kind}\r\n{extra}Content-Length: {len(body)}\r\n\r\n".encode() + body


def chunk(piece: bytes) -> bytes:
    """One chunk of a reply in chunks."""
    return f"{len(piece):x}\r\n".encode() + piece + b"\r\n"


def stream(pieces: Iterable[bytes], kind: str, *, ends: bool = True) -> bytes:
    """A reply in chunks; without its end the connection just closes."""
    head = f"HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\nTransfer-Encoding: chunked\r\n\r\n".encode()
    return head + b"".join(map(chunk, pieces)) + (b"0\r\n\r\n" if ends else b"")


def sse(*events: object, ends: bool = True) -> bytes:
    """A streamed completion of OpenAI's."""
    data = [one if isinstance(one, bytes) else b"data: " + json.dumps(one).encode() + b"\n\n" for one in events]
    return stream(data, "text/event-stream", ends=ends)


def ndjson(*steps: object, ends: bool = True) -> bytes:
    """A streamed answer of ollama's."""
    lines = [one if isinstance(one, bytes) else json.dumps(one).encode() + b"\n" for one in steps]
    return stream(lines, "application/x-ndjson", ends=ends)


def word(text: str, **more: object) -> dict[str, object]:
    """One chunk of a chat completion."""
    return {"choices": [{"index": 0, "delta": {"content": text}, "finish_reason": None} | more]}


def step(text: str, **more: object) -> dict[str, object]:
    """One line of ollama's chat."""
    return {"message": {"role": "assistant", "content": text}, "done": False} | more


@asynccontextmanager
async def serving(socket: Path, script: Scripted) -> AsyncIterator[Scripted]:
    """The server, on a Unix socket."""
    server = await asyncio.start_unix_server(script.serve, str(socket))
    try:
        yield script
    finally:
        server.close()
