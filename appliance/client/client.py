"""The socket's typed client, for blocking code.

It sends the requests of `wire`, and turns error replies into `ApiError` and a dead socket into `ServiceUnreachable`.
Answers and events arrive as iterators that end the request when closed.
"""

import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Self

import httpx2

from appliance import wire
from appliance.client.replies import PagePicture, R, api_error, ask_event, event, page_picture, parse
from appliance.client.requests import BASE_URL, EVENTS_TIMEOUT, TIMEOUT, document_route, model_route, without_none
from appliance.client.unreachable import unreachable
from appliance.errors import ApiError, DocentError, ServiceUnreachable

__all__ = [
    "ApiError",
    "Client",
    "DocentError",
    "PageView",
    "Progress",
    "ServiceUnreachable",
]

Progress = Callable[[int, int], None]
"""Called with bytes sent and total bytes."""


@dataclass(frozen=True, slots=True)
class PageView:
    """A page, its resolution, and what to highlight on it: a passage, a quote, or nothing."""

    page: int
    dpi: int = wire.USUAL_DPI
    chunk_id: str | None = None
    quote: str | None = None


class Client:
    """The service on its Unix socket; use as a context manager.

    Every method raises `ServiceUnreachable` if the socket does not answer, and `ApiError` with the service's own
    message, hint and exit code if it refuses.
    """

    def __init__(self, socket: Path) -> None:
        self._socket = socket
        self._http = httpx2.Client(transport=httpx2.HTTPTransport(uds=str(socket)), base_url=BASE_URL, timeout=TIMEOUT)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close all connections."""
        self._http.close()

    def status(self) -> wire.Status:
        """Fetch the service's state."""
        return self._call(wire.Status, "GET", "/status")

    def ready(self) -> bool:
        """Whether the service answers and takes requests."""
        try:
            with self._translated():
                return self._http.get("/readyz").status_code == 200
        except ServiceUnreachable:
            return False

    def document_page(
        self,
        *,
        limit: int = 100,
        cursor: str | None = None,
        collection: str | None = None,
        state: wire.DocumentState | None = None,
        document: str | None = None,
        like: str | None = None,
    ) -> wire.DocumentList:
        """Fetch one page of the list. `document` is an exact path, `like` a file name or one similar to it."""
        params = without_none(
            limit=limit, cursor=cursor, collection=collection, state=state, document=document, like=like
        )
        return self._call(wire.DocumentList, "GET", "/documents", params=params)

    def documents(
        self,
        *,
        collection: str | None = None,
        state: wire.DocumentState | None = None,
        document: str | None = None,
    ) -> Iterator[wire.Document]:
        """Iterate over all documents, fetching them page by page."""
        cursor: str | None = None
        while True:
            page = self.document_page(limit=500, cursor=cursor, collection=collection, state=state, document=document)
            yield from page.documents
            cursor = page.next
            if cursor is None:
                return

    def document(self, document_id: str) -> wire.Document:
        """Fetch one document by its id; `documents(document=PATH)` finds it by its path."""
        return self._call(wire.Document, "GET", document_route(document_id))

    def page(self, document_id: str, view: PageView) -> PagePicture:
        """Fetch a page as a picture."""
        path = f"{document_route(document_id)}/pages/{view.page}"
        params = without_none(dpi=view.dpi, chunk_id=view.chunk_id, quote=view.quote)
        with self._translated():
            response = self._http.get(path, params=params)
        return page_picture(response)

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
            # A field of its own: multipart escapes file names in ways that cannot be undone, and refuses odd bytes.
            "name": os.fsencode(name),
            "collection": os.fsencode(collection),
            "replace": "true" if replace else "false",
        }
        return self._call(wire.DocumentAdded, "POST", "/documents", data=data, files={"file": ("upload", reader)})

    def remove(self, document_id: str) -> wire.Document:
        """Delete a document's file and return the document as it was."""
        return self._call(wire.Document, "DELETE", document_route(document_id))

    def accept_library(self) -> wire.LibraryAccepted:
        """Accept what is now in the library's folder as the library, and forget the documents that are not in it."""
        return self._call(wire.LibraryAccepted, "POST", "/library/accept")

    def retry(self, document_id: str) -> wire.Document:
        """Read a failed document again."""
        return self._call(wire.Document, "POST", f"{document_route(document_id)}/retry")

    def search(self, query: str, *, k: int = 5, collection: str | None = None) -> wire.SearchReply:
        """Search for passages, best first."""
        return self._call(
            wire.SearchReply, "POST", "/search", json=without_none(query=query, k=k, collection=collection)
        )

    def ask(self, request: wire.AskRequest) -> wire.Answer:
        """Fetch a whole answer."""
        body = request.model_copy(update={"stream": False}).model_dump(exclude_none=True)
        return self._call(wire.Answer, "POST", "/ask", json=body)

    def ask_stream(self, request: wire.AskRequest) -> Iterator[wire.AskEvent]:
        """Stream the events of an answer; closing the iterator cancels it."""
        body = request.model_copy(update={"stream": True}).model_dump(exclude_none=True)
        with self._streaming("POST", "/ask", json=body) as response:
            for line in response.iter_lines():
                if line:
                    yield ask_event(line)

    def models(self) -> list[wire.Model]:
        """List the installed models."""
        return self._call(wire.ModelList, "GET", "/models").models

    def model_action(self, model_id: str, action: str) -> wire.Model:
        """Apply `load`, `unload`, `pin` or `unpin` and return the model's new state."""
        return self._call(wire.Model, "POST", model_route(model_id, action))

    def rescan_models(self) -> list[wire.Model]:
        """Make the service rescan its models and adapters, and return the models."""
        return self._call(wire.ModelList, "POST", "/models/rescan").models

    def memory(self) -> wire.Memory:
        """Fetch the memory budget and its holders."""
        return self._call(wire.Memory, "GET", "/memory")

    def events(self) -> Iterator[wire.Event]:
        """Stream the service's events until closed."""
        with self._streaming("GET", "/events", timeout=EVENTS_TIMEOUT) as response:
            for line in response.iter_lines():
                if line.startswith("data:"):
                    yield event(line)

    def _call(self, kind: type[R], method: str, path: str, **arguments: Any) -> R:
        with self._translated():
            response = self._http.request(method, path, **arguments)
        return parse(kind, response)

    @contextmanager
    def _streaming(self, method: str, path: str, **arguments: Any) -> Iterator[httpx2.Response]:
        with self._translated(), self._http.stream(method, path, **arguments) as response:
            if response.is_error:
                response.read()
                raise api_error(response)
            yield response

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except httpx2.TransportError as error:
            raise unreachable(self._socket, error) from error


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
