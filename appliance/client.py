"""Typed client of the socket, sync and async.

Nothing here knows how the service works: it sends the requests of `wire`, and turns error replies into `ApiError` and
a dead socket into `ServiceUnreachable`. Answers and events arrive as iterators that end the request when closed.
"""

import json
import os
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any, BinaryIO, Self, TypeVar
from urllib.parse import quote

import httpx2
from pydantic import TypeAdapter, ValidationError

from appliance import wire
from appliance.config import SYSTEM_RUNTIME
from appliance.errors import (
    EXIT_FAILED,
    EXIT_NOT_FOUND,
    EXIT_REFUSED,
    EXIT_USAGE,
    ApiError,
    DocentError,
    Outcome,
    ServiceUnreachable,
    UnknownDocument,
)
from appliance.naming import shown_argument
from appliance.terminal import amount, clean_line, clean_text

__all__ = [
    "ApiError",
    "AsyncClient",
    "Client",
    "DocentError",
    "Progress",
    "ServiceUnreachable",
    "amount",
    "clean_line",
    "clean_text",
]

R = TypeVar("R", bound=wire.Reply)
Progress = Callable[[int, int], None]
"""Called with bytes sent and bytes in all."""

_BASE = "http://docent"
_UNIT_FOLDERS = [Path(root) / "systemd" / "system" for root in ("/etc", "/run", "/usr/local/lib", "/usr/lib", "/lib")]
_TIMEOUT = httpx2.Timeout(30.0, read=600.0)
_ASK_EVENT: TypeAdapter[wire.AskEvent] = TypeAdapter(wire.AskEvent)
_EXIT_BY_STATUS = {400: EXIT_USAGE, 403: EXIT_REFUSED, 404: EXIT_NOT_FOUND, 409: EXIT_REFUSED, 413: EXIT_REFUSED,
                   422: EXIT_USAGE, 429: EXIT_REFUSED}  # fmt: skip


class Client:
    """The service on its Unix socket; use as a context manager.

    Every method raises `ServiceUnreachable` where nobody answers, and `ApiError` with the service's own message, hint
    and exit code where it refuses.
    """

    def __init__(self, socket: Path) -> None:
        self._socket = socket
        self._http = httpx2.Client(transport=httpx2.HTTPTransport(uds=str(socket)), base_url=_BASE, timeout=_TIMEOUT)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close all connections."""
        self._http.close()

    def status(self) -> wire.Status:
        """The service at a glance."""
        return self._call(wire.Status, "GET", "/status")

    def ready(self) -> bool:
        """Whether the service answers and can take work."""
        try:
            with self._translated():
                return self._http.get("/readyz").status_code == 200
        except ServiceUnreachable:
            return False

    def document_page(self, *, limit: int = 100, cursor: str | None = None, **filters: str) -> wire.DocumentList:
        """One page of the list of documents; filters: `collection`, `state`, `document` (exact path)."""
        return self._call(wire.DocumentList, "GET", "/documents", params=_params(limit=limit, cursor=cursor, **filters))

    def documents(self, **filters: str) -> Iterator[wire.Document]:
        """All documents, page by page."""
        cursor: str | None = None
        while True:
            page = self.document_page(limit=500, cursor=cursor, **filters)
            yield from page.documents
            cursor = page.next
            if cursor is None:
                return

    def document(self, document_id: str) -> wire.Document:
        """One document by its id; `documents(document=PATH)` finds it by its path."""
        return self._call(wire.Document, "GET", _document_route(document_id))

    def add(
        self,
        file: BinaryIO,
        name: str,
        *,
        collection: str = "",
        replace: bool = False,
        size: int | None = None,
        progress: Progress | None = None,
    ) -> wire.DocumentAdded:
        """Stream a file into the library under `name`."""
        reader = _Reader(file, size or 0, progress)
        data = {
            # a field of its own: multipart escapes a file name in ways that cannot be undone, and takes no odd bytes
            "name": os.fsencode(name),
            "collection": os.fsencode(collection),
            "replace": "true" if replace else "false",
        }
        return self._call(wire.DocumentAdded, "POST", "/documents", data=data, files={"file": ("upload", reader)})

    def remove(self, document_id: str) -> wire.Document:
        """Delete a document's file; returns what it was."""
        return self._call(wire.Document, "DELETE", _document_route(document_id))

    def retry(self, document_id: str) -> wire.Document:
        """Try a failed document again."""
        return self._call(wire.Document, "POST", f"{_document_route(document_id)}/retry")

    def search(self, query: str, *, k: int = 5, collection: str | None = None) -> wire.SearchReply:
        """Best passages first."""
        return self._call(wire.SearchReply, "POST", "/search", json=_params(query=query, k=k, collection=collection))

    def ask(self, request: wire.AskRequest) -> wire.Answer:
        """The whole answer at once."""
        body = request.model_copy(update={"stream": False}).model_dump(exclude_none=True)
        return self._call(wire.Answer, "POST", "/ask", json=body)

    def ask_stream(self, request: wire.AskRequest) -> Iterator[wire.AskEvent]:
        """The answer's events as they come; closing the iterator cancels the answer."""
        body = request.model_copy(update={"stream": True}).model_dump(exclude_none=True)
        with self._streaming("POST", "/ask", json=body) as response:
            for line in response.iter_lines():
                if line:
                    yield _ask_event(line)

    def models(self) -> list[wire.Model]:
        """Installed models."""
        return self._call(wire.ModelList, "GET", "/models").models

    def model_action(self, model_id: str, action: str) -> wire.Model:
        """`load`, `unload`, `pin` or `unpin`; returns the model's new state."""
        return self._call(wire.Model, "POST", f"/models/{quote(model_id, safe='')}/{action}")

    def rescan_models(self) -> list[wire.Model]:
        """Tell the service that models were installed or removed."""
        return self._call(wire.ModelList, "POST", "/models/rescan").models

    def memory(self) -> wire.Memory:
        """The memory budget and who holds what."""
        return self._call(wire.Memory, "GET", "/memory")

    def events(self) -> Iterator[wire.Event]:
        """The service's events, without end."""
        with self._streaming("GET", "/events", timeout=httpx2.Timeout(30.0, read=None)) as response:
            for line in response.iter_lines():
                if line.startswith("data:"):
                    yield _event(line)

    def _call(self, kind: type[R], method: str, path: str, **arguments: Any) -> R:
        with self._translated():
            response = self._http.request(method, path, **arguments)
        return _parse(kind, response)

    @contextmanager
    def _streaming(self, method: str, path: str, **arguments: Any) -> Iterator[httpx2.Response]:
        with self._translated(), self._http.stream(method, path, **arguments) as response:
            if response.is_error:
                response.read()
                raise _api_error(response)
            yield response

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except httpx2.TransportError as error:
            raise unreachable(self._socket, error) from error


class AsyncClient:
    """What the terminal UI needs of `Client`, for asyncio."""

    def __init__(self, socket: Path) -> None:
        self._socket = socket
        transport = httpx2.AsyncHTTPTransport(uds=str(socket))
        self._http = httpx2.AsyncClient(transport=transport, base_url=_BASE, timeout=_TIMEOUT)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Close all connections."""
        await self._http.aclose()

    async def status(self) -> wire.Status:
        """The service at a glance."""
        return await self._call(wire.Status, "GET", "/status")

    async def documents(self, **filters: str) -> list[wire.Document]:
        """All documents."""
        found: list[wire.Document] = []
        cursor: str | None = None
        while True:
            params = _params(limit=500, cursor=cursor, **filters)
            page = await self._call(wire.DocumentList, "GET", "/documents", params=params)
            found += page.documents
            cursor = page.next
            if cursor is None:
                return found

    async def remove(self, document_id: str) -> wire.Document:
        """Delete a document's file; returns what it was."""
        return await self._call(wire.Document, "DELETE", _document_route(document_id))

    async def retry(self, document_id: str) -> wire.Document:
        """Try a failed document again."""
        return await self._call(wire.Document, "POST", f"{_document_route(document_id)}/retry")

    async def search(self, query: str, *, k: int = 5, collection: str | None = None) -> wire.SearchReply:
        """Best passages first."""
        body = _params(query=query, k=k, collection=collection)
        return await self._call(wire.SearchReply, "POST", "/search", json=body)

    async def ask_stream(self, request: wire.AskRequest) -> AsyncGenerator[wire.AskEvent, None]:
        """The answer's events as they come; closing the iterator cancels the answer."""
        body = request.model_copy(update={"stream": True}).model_dump(exclude_none=True)
        async with self._streaming("POST", "/ask", json=body) as response:
            async for line in response.aiter_lines():
                if line:
                    yield _ask_event(line)

    async def models(self) -> list[wire.Model]:
        """Installed models."""
        return (await self._call(wire.ModelList, "GET", "/models")).models

    async def model_action(self, model_id: str, action: str) -> wire.Model:
        """`load`, `unload`, `pin` or `unpin`; returns the model's new state."""
        return await self._call(wire.Model, "POST", f"/models/{quote(model_id, safe='')}/{action}")

    async def events(self) -> AsyncGenerator[wire.Event, None]:
        """The service's events, without end."""
        async with self._streaming("GET", "/events", timeout=httpx2.Timeout(30.0, read=None)) as response:
            async for line in response.aiter_lines():
                if line.startswith("data:"):
                    yield _event(line)

    async def _call(self, kind: type[R], method: str, path: str, **arguments: Any) -> R:
        async with self._translated():
            response = await self._http.request(method, path, **arguments)
        return _parse(kind, response)

    @asynccontextmanager
    async def _streaming(self, method: str, path: str, **arguments: Any) -> AsyncIterator[httpx2.Response]:
        async with self._translated(), self._http.stream(method, path, **arguments) as response:
            if response.is_error:
                await response.aread()
                raise _api_error(response)
            yield response

    @asynccontextmanager
    async def _translated(self) -> AsyncIterator[None]:
        try:
            yield
        except httpx2.TransportError as error:
            raise unreachable(self._socket, error) from error


def log_hint(socket: Path) -> str:
    """Where the log of the service on `socket` is."""
    if _under_systemd(socket):
        return "see the service's log: `journalctl -u docent`"
    return "see the service's log, which `docent serve` writes to its stderr"


def _under_systemd(socket: Path) -> bool:
    """Whether systemd runs the service of this socket: it has the unit, and the socket is the unit's."""
    return socket.parent == SYSTEM_RUNTIME and any((folder / "docent.service").exists() for folder in _UNIT_FOLDERS)


def unreachable(socket: Path, error: Exception) -> ServiceUnreachable:
    """Why the socket does not answer, in words of what to do."""
    what = f"talking to the service on {socket}"
    if len(str(socket).encode()) > 107:
        return ServiceUnreachable(
            what, "the path is longer than the 107 bytes that Linux allows for a socket", "set a shorter DOCENT_HOME"
        )
    if isinstance(error, httpx2.ConnectError):
        return _cannot_connect(socket, what)
    if isinstance(error, httpx2.TimeoutException):
        return ServiceUnreachable(what, "no reply in time", log_hint(socket))
    return ServiceUnreachable(what, "the connection broke off", log_hint(socket))


def _cannot_connect(socket: Path, what: str) -> ServiceUnreachable:
    start = f"start it: {'`sudo systemctl start docent`' if _under_systemd(socket) else '`docent serve`'}"
    try:
        socket.stat()
    except PermissionError:
        return _may_not_connect(what)
    except OSError:
        return ServiceUnreachable(what, "there is no socket; the service is not running", start)
    if not _may_write(socket):
        return _may_not_connect(what)
    return ServiceUnreachable(what, "nobody listens on it; the service is not running", start)


def _may_not_connect(what: str) -> ServiceUnreachable:
    hint = "an administrator can add you: `sudo usermod -aG docent $USER`; then log in again"
    return ServiceUnreachable(what, "you may not open it; it is for members of its group", hint)


def _may_write(path: Path) -> bool:
    return os.access(path, os.W_OK)


class _Reader:
    """A file for multipart upload that reports its progress."""

    def __init__(self, file: BinaryIO, size: int, progress: Progress | None) -> None:
        self._file, self._size, self._progress, self._sent = file, size, progress, 0

    def read(self, size: int = -1) -> bytes:
        data = self._file.read(size)
        self._sent += len(data)
        if self._progress:
            self._progress(self._sent, self._size)
        return data

    def __iter__(self) -> Iterable[bytes]:
        while data := self.read(1 << 18):
            yield data

    def seek(self, offset: int, whence: int = 0) -> int:
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        return self._file.tell()

    def fileno(self) -> int:
        return self._file.fileno()


def _document_route(document_id: str) -> str:
    """The route of one document.

    Raises:
        UnknownDocument: it cannot be an id, so asking for it would be asking for another route.
    """
    shown = shown_argument(document_id)
    if not shown or "/" in shown or shown.strip(".") == "":
        raise UnknownDocument(
            f"document {shown!r}", "there is no such document", "`docent documents list` shows all ids"
        )
    return f"/documents/{quote(shown, safe='')}"


def _params(**values: Any) -> dict[str, Any]:
    return {key: value for key, value in values.items() if value is not None}


def _ask_event(line: str) -> wire.AskEvent:
    try:
        return _ASK_EVENT.validate_json(line)
    except ValidationError as error:
        raise _not_understood(error) from error


def _parse(kind: type[R], response: httpx2.Response) -> R:
    if response.is_error:
        raise _api_error(response)
    try:
        return kind.model_validate_json(response.content)
    except ValidationError as error:
        raise _not_understood(error) from error


def _event(line: str) -> wire.Event:
    try:
        return wire.Event.model_validate_json(line.removeprefix("data:"))
    except ValidationError as error:
        raise _not_understood(error) from error


def _not_understood(error: ValidationError) -> ApiError:
    """What was received is not of this client's shapes: another version, or not a Docent service."""
    found = error.errors()[0]
    place = ".".join(str(part) for part in found["loc"]) or "the reply"
    message = f"the service's reply is not understood: {place}: {found['msg']}"
    return ApiError(
        message, "use the client of the service's own version", Outcome(502, EXIT_FAILED, "server_error", "failed")
    )


def _api_error(response: httpx2.Response) -> ApiError:
    status = response.status_code
    exit_code = _EXIT_BY_STATUS.get(status, EXIT_FAILED)
    try:
        body = wire.ErrorReply.model_validate_json(response.content).error
    except ValidationError:
        text = json.dumps(response.text[:200])
        return ApiError(
            f"the service replied {status}: {text}", "", Outcome(status, exit_code, "server_error", "failed")
        )
    return ApiError(body.message, body.hint, Outcome(status, exit_code, body.type, body.code))
