"""A fake service that speaks `wire` on a real Unix socket, in a state that the test sets.

Replaces the real one where a test needs a state that the real one reaches only slowly or never: a document half
indexed, an answer that hangs, a service that stops. Runs in a thread of the test's process.
"""

import asyncio
import json
import struct
import threading
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import uvicorn
from pydantic import BaseModel
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from appliance import wire
from appliance.api.similar_names import nearest


def document(path: str = "manual.pdf", state: wire.DocumentState = "indexed", **fields: Any) -> wire.Document:
    """A document; its id is made from its path."""
    values: dict[str, Any] = {
        "id": "d-" + path.replace("/", "-"),
        "document": path,
        "collection": path.rpartition("/")[0].split("/")[0],
        "state": state,
        "pages": 10,
        "pages_done": 10 if state == "indexed" else 0,
        "chunks": 42,
        "size": 12_345,
        "modified": "2026-03-01T10:00:00Z",
    }
    return wire.Document(**{**values, **fields})


def passage(text: str, page: int = 3, path: str = "manual.pdf", **fields: Any) -> wire.Passage:
    """A passage of `manual.pdf`."""
    values: dict[str, Any] = {
        "document": path,
        "collection": "",
        "page": page,
        "page_last": page,
        "heading": ["Care", "Filters"],
        "text": text,
        "score": 0.9,
        "chunk_id": f"c{page}",
    }
    return wire.Passage(**{**values, **fields})


def citation(quote: str, marker: str = "[1]", page: int = 3, **fields: Any) -> wire.Citation:
    """A supported citation of `manual.pdf`."""
    values: dict[str, Any] = {
        "marker": marker,
        "document": "manual.pdf",
        "page": page,
        "quote": quote,
        "supported": True,
        "score": 0.9,
        "chunk_id": f"c{page}",
        "boxes": [],
    }
    return wire.Citation(**{**values, **fields})


class FakeService:
    """State that tests set, and routes that show it; `asked` records request bodies, `actions` what clients changed."""

    def __init__(self) -> None:
        self.documents: dict[str, wire.Document] = {}
        self.models: list[wire.Model] = []
        self.passages = [passage("Change the filter every 500 hours of operation. Use only part 4711.")]
        self.tokens = ["Every ", "500 hours", " [1]."]
        self.citations = [citation("Change the filter every 500 hours")]
        self.answered_by = "extractive"
        self.fallback: wire.Fallback | None = None
        self.error: wire.ErrorBody | None = None
        self.refusal: tuple[int, wire.ErrorBody] | None = None
        self.hold = threading.Event()
        self.hold.set()
        """If cleared, an answer stops after its first token until this is set again."""
        self.becomes: wire.DocumentState = "indexed"
        self.asked: list[dict[str, Any]] = []
        self.actions: list[tuple[str, str]] = []
        self.cancelled = threading.Event()
        self.events_broken = False
        self.progress: wire.Progress | None = None
        self.library_away = False
        self.unsettled = 0
        """Files that have arrived but are not listed yet."""
        self.page = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR" + struct.pack(">II", 1190, 1684)
        """The start of a PNG with its size, the only part that clients read."""
        self._added = 0
        self._listeners: list[asyncio.Queue[str]] = []
        self._loop: asyncio.AbstractEventLoop | None = None

    def put(self, found: wire.Document) -> None:
        """Sets a document and notifies the listeners."""
        self.documents[found.id] = found
        self._publish(wire.Event(type="document", document=found))

    def drop(self, document_id: str) -> None:
        """Removes a document and notifies the listeners."""
        self.documents.pop(document_id)
        self._publish(wire.Event(type="removed", removed=document_id))

    def publish_status(self) -> None:
        """Sends the current status to the listeners."""
        self._publish(wire.Event(type="status", status=self.status()))

    def status(self) -> wire.Status:
        """The status, with counts of the documents set."""
        states = [found.state for found in self.documents.values()]
        counts = wire.DocumentCounts(**{state: states.count(state) for state in set(states)})
        unread = [found.pages_skipped for found in self.documents.values()]
        loaded = [model.id for model in self.models if model.state == "loaded"]
        queue = counts.indexing + counts.pending + self.unsettled
        return wire.Status(
            ready=True,
            documents=counts,
            chunks=42,
            queue=queue,
            models_loaded=loaded,
            version="0.1.0",
            progress=self.progress,
            library_away=self.library_away,
            skipped=wire.Skipped(documents=sum(map(bool, unread)), pages=sum(unread)),
        )

    def _publish(self, event: wire.Event) -> None:
        if self._loop:
            for listener in self._listeners:
                self._loop.call_soon_threadsafe(listener.put_nowait, event.model_dump_json())

    def app(self) -> Starlette:
        """The routes of the contract that clients under test use."""
        routes = [
            Route("/status", self._status),
            Route("/readyz", self._ready),
            Route("/documents", self._documents, methods=["GET"]),
            Route("/documents", self._add, methods=["POST"]),
            Route("/documents/{id}", self._document, methods=["GET", "DELETE"]),
            Route("/documents/{id}/pages/{number}", self._page),
            Route("/documents/{id}/retry", self._retry, methods=["POST"]),
            Route("/library/accept", self._accept, methods=["POST"]),
            Route("/search", self._search, methods=["POST"]),
            Route("/ask", self._ask, methods=["POST"]),
            Route("/events", self._events),
            Route("/models", self._models),
            Route("/models/rescan", self._models, methods=["POST"]),
            Route("/models/{id}/{action}", self._model_action, methods=["POST"]),
            Route("/memory", self._memory),
        ]
        return Starlette(routes=routes)

    async def _status(self, _: Request) -> Response:
        return _reply(self.status())

    async def _ready(self, _: Request) -> Response:
        return JSONResponse({"ready": True})

    async def _documents(self, request: Request) -> Response:
        found = list(self.documents.values())
        for key in ("collection", "state", "document"):
            if key in request.query_params:
                found = [one for one in found if getattr(one, key) == request.query_params[key]]
        if (like := request.query_params.get("like")) is not None:
            by_path = {one.document: one for one in found}
            same = [path for path in by_path if path.rpartition("/")[2] == like]
            found = [by_path[path] for path in same or nearest(like, by_path)]
        return _reply(wire.DocumentList(documents=found))

    async def _add(self, request: Request) -> Response:
        async with request.form() as form:
            upload, collection, replace = form["file"], str(form["collection"]), form["replace"] == "true"
            assert not isinstance(upload, str)
            content = await upload.read()
            path = f"{collection}/{form['name']}" if collection else str(form["name"])
        self._added += 1
        modified = f"2026-03-02T10:00:{self._added:02}Z"
        new = document(path, self.becomes, size=len(content), modified=modified)
        if new.id in self.documents and not replace:
            return _refuse(409, "document_exists", f"adding {path}: it exists", "use --replace")
        replaced = new.id in self.documents
        self.put(new)
        return _reply(wire.DocumentAdded(document=path, collection=collection, size=len(content), replaced=replaced))

    async def _document(self, request: Request) -> Response:
        found = self.documents.get(request.path_params["id"])
        if found is None:
            return _refuse(404, "document_not_found", "no document has this id", "see `docent documents list`")
        if request.method == "DELETE":
            self.actions.append(("remove", found.id))
            self.drop(found.id)
        return _reply(found)

    async def _page(self, request: Request) -> Response:
        if self.refusal:
            return _reply(wire.ErrorReply(error=self.refusal[1]), self.refusal[0])
        self.asked.append({"page": request.path_params["number"], **request.query_params})
        return Response(self.page, media_type="image/png", headers={"Docent-Dpi": request.query_params["dpi"]})

    async def _retry(self, request: Request) -> Response:
        found = self.documents[request.path_params["id"]]
        self.actions.append(("retry", found.id))
        self.put(found.model_copy(update={"state": "pending", "reason": None, "hint": None}))
        return _reply(self.documents[found.id])

    async def _accept(self, _: Request) -> Response:
        self.actions.append(("accept", "library"))
        self.library_away = False
        return _reply(wire.LibraryAccepted(missing=2))

    async def _search(self, request: Request) -> Response:
        body = await request.json()
        self.asked.append(body)
        if self.refusal:
            return _reply(wire.ErrorReply(error=self.refusal[1]), self.refusal[0])
        return _reply(wire.SearchReply(query=body["query"], results=self.passages[: body["k"]], timings={"total": 0.1}))

    async def _ask(self, request: Request) -> Response:
        body = await request.json()
        self.asked.append(body)
        if self.refusal:
            return _reply(wire.ErrorReply(error=self.refusal[1]), self.refusal[0])
        if not body["stream"]:
            return _reply(self._answer(wire.Answer, body))
        return StreamingResponse(self._answer_events(body), media_type="application/x-ndjson")

    async def _answer_events(self, body: dict[str, Any]) -> AsyncIterator[str]:
        try:
            yield wire.PassagesEvent(passages=self.passages).model_dump_json() + "\n"
            for token in self.tokens:
                yield wire.TokenEvent(text=token).model_dump_json() + "\n"
                while not self.hold.is_set():  # noqa: ASYNC110 it is set from another thread
                    await asyncio.sleep(0.01)
            if self.error:
                yield wire.ErrorEvent(error=self.error).model_dump_json() + "\n"
            yield self._answer(wire.DoneEvent, body).model_dump_json(by_alias=True) + "\n"
        except asyncio.CancelledError:
            self.cancelled.set()
            raise

    def _answer(self, kind: type[wire.Answer], body: dict[str, Any]) -> wire.Answer:
        return kind(
            question=body["question"],
            answer="".join(self.tokens),
            citations=self.citations,
            model=body.get("model") or self.answered_by,
            adapters=[wire.AdapterUse(**use) for use in body.get("adapters", [])],
            fallback=self.fallback,
            finish_reason="error" if self.error else "stop",
            usage=wire.Usage(),
            timings={"total": 0.5},
        )

    async def _events(self, _: Request) -> Response:
        if self.events_broken:
            return _refuse(404, "not_found", "there are no events", "")
        return StreamingResponse(self._event_lines(), media_type="text/event-stream")

    async def _event_lines(self) -> AsyncIterator[str]:
        listener: asyncio.Queue[str] = asyncio.Queue()
        self._loop = asyncio.get_running_loop()
        self._listeners.append(listener)
        try:
            yield f"data: {wire.Event(type='status', status=self.status()).model_dump_json()}\n\n"
            while True:
                yield f"data: {await listener.get()}\n\n"
        finally:
            self._listeners.remove(listener)

    async def _models(self, request: Request) -> Response:
        if request.method == "POST":
            self.actions.append(("rescan", ""))
        return _reply(wire.ModelList(models=self.models))

    async def _model_action(self, request: Request) -> Response:
        model_id, action = request.path_params["id"], request.path_params["action"]
        found = next((model for model in self.models if model.id == model_id), None)
        if found is None:
            return _refuse(404, "model_not_found", f"no model is called {model_id}", "see `docent models list`")
        self.actions.append((action, model_id))
        return _reply(found)

    async def _memory(self, _: Request) -> Response:
        holder = wire.MemoryHolder(id="all-MiniLM-L6-v2", kind="embedding", predicted=100 << 20, measured=90 << 20)
        return _reply(wire.Memory(budget=8 << 30, used=100 << 20, holders=[holder]))


def _reply(model: BaseModel, status: int = 200) -> Response:
    return JSONResponse(json.loads(model.model_dump_json(by_alias=True)), status_code=status)


def _refuse(status: int, code: str, message: str, hint: str) -> Response:
    body = wire.ErrorBody(message=message, type="invalid_request_error", code=code, hint=hint)
    return _reply(wire.ErrorReply(error=body), status)


@contextmanager
def serving(service: FakeService, socket: Path) -> Iterator[None]:
    """Serves `service` on `socket` until the block ends, then cuts open streams."""
    config = uvicorn.Config(
        service.app(), uds=str(socket), log_level="critical", lifespan="off", timeout_graceful_shutdown=0
    )
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, name="fake service")
    thread.start()
    deadline = time.monotonic() + 10
    while not server.started and time.monotonic() < deadline:
        time.sleep(0.005)
    try:
        yield
    finally:
        server.should_exit = True
        thread.join(10)
        socket.unlink(missing_ok=True)
