"""The socket's client for programs with an event loop."""

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Self

import httpx2

from appliance import wire
from appliance.client.replies import R, api_error, ask_event, completion_chunk, event, parse
from appliance.client.requests import BASE_URL, EVENTS_TIMEOUT, TIMEOUT, document_route, model_route, without_none
from appliance.client.unreachable import unreachable
from appliance.wire import openai


class AsyncClient:
    """The part of `Client` that the terminal UI uses, for asyncio; raises the same errors."""

    def __init__(self, socket: Path) -> None:
        self._socket = socket
        transport = httpx2.AsyncHTTPTransport(uds=str(socket))
        self._http = httpx2.AsyncClient(transport=transport, base_url=BASE_URL, timeout=TIMEOUT)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Close all connections."""
        await self._http.aclose()

    async def status(self) -> wire.Status:
        """Fetch the service's state."""
        return await self._call(wire.Status, "GET", "/status")

    async def documents(
        self, *, collection: str | None = None, state: wire.DocumentState | None = None
    ) -> list[wire.Document]:
        """Fetch all documents."""
        found: list[wire.Document] = []
        cursor: str | None = None
        while True:
            params = without_none(limit=500, cursor=cursor, collection=collection, state=state)
            page = await self._call(wire.DocumentList, "GET", "/documents", params=params)
            found += page.documents
            cursor = page.next
            if cursor is None:
                return found

    async def remove(self, document_id: str) -> wire.Document:
        """Delete a document's file and return the document as it was."""
        return await self._call(wire.Document, "DELETE", document_route(document_id))

    async def retry(self, document_id: str) -> wire.Document:
        """Read a failed document again."""
        return await self._call(wire.Document, "POST", f"{document_route(document_id)}/retry")

    async def search(self, query: str, *, k: int = 5, collection: str | None = None) -> wire.SearchReply:
        """Search for passages, best first."""
        body = without_none(query=query, k=k, collection=collection)
        return await self._call(wire.SearchReply, "POST", "/search", json=body)

    async def ask_stream(self, request: wire.AskRequest) -> AsyncGenerator[wire.AskEvent, None]:
        """Stream the events of an answer; closing the iterator cancels it."""
        body = request.model_copy(update={"stream": True}).model_dump(exclude_none=True)
        async with self._streaming("POST", "/ask", json=body) as response:
            async for line in response.aiter_lines():
                if line:
                    yield ask_event(line)

    async def models(self) -> list[wire.Model]:
        """List the installed models."""
        return (await self._call(wire.ModelList, "GET", "/models")).models

    async def model_action(self, model_id: str, action: str) -> wire.Model:
        """Apply `load`, `unload`, `pin` or `unpin` and return the model's new state."""
        return await self._call(wire.Model, "POST", model_route(model_id, action))

    async def memory(self) -> wire.Memory:
        """Fetch the memory budget and its holders."""
        return await self._call(wire.Memory, "GET", "/memory")

    async def complete_stream(self, request: openai.CompletionRequest) -> AsyncGenerator[openai.CompletionChunk, None]:
        """Stream a bare model's completion, usage last; closing the iterator cancels it."""
        body = request.model_copy(update={"stream": True, "stream_options": openai.StreamOptions(include_usage=True)})
        async with self._streaming("POST", "/v1/completions", json=body.model_dump(exclude_none=True)) as response:
            async for line in response.aiter_lines():
                if chunk := completion_chunk(line):
                    yield chunk

    async def events(self) -> AsyncGenerator[wire.Event, None]:
        """Stream the service's events until closed."""
        async with self._streaming("GET", "/events", timeout=EVENTS_TIMEOUT) as response:
            async for line in response.aiter_lines():
                if line.startswith("data:"):
                    yield event(line)

    async def _call(self, kind: type[R], method: str, path: str, **arguments: Any) -> R:
        async with self._translated():
            response = await self._http.request(method, path, **arguments)
        return parse(kind, response)

    @asynccontextmanager
    async def _streaming(self, method: str, path: str, **arguments: Any) -> AsyncIterator[httpx2.Response]:
        async with self._translated(), self._http.stream(method, path, **arguments) as response:
            if response.is_error:
                await response.aread()
                raise api_error(response)
            yield response

    @asynccontextmanager
    async def _translated(self) -> AsyncIterator[None]:
        try:
            yield
        except httpx2.TransportError as error:
            raise unreachable(self._socket, error) from error
