"""A fake model hub on localhost that implements part of the real one's API, counts what it sends and can misbehave.

Answers `GET /api/models/OWNER/NAME[/revision/REV]` and `HEAD|GET /OWNER/NAME/resolve/COMMIT/FILE` with `ETag`,
`X-Linked-Etag`, `X-Linked-Size`, `X-Repo-Commit`, `Content-Range`. Tests inject faults by setting fields.
"""

import hashlib
import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote, urlsplit

COMMIT = "c0ffee" * 6 + "c0ff"
REPO = "clinic/pump-GGUF"


@dataclass
class FakeHub:
    """Content and behaviour of the hub; `address` is set once it serves."""

    files: dict[str, bytes] = field(default_factory=dict)
    card: dict[str, Any] = field(default_factory=lambda: {"license": "apache-2.0"})
    repo: str = REPO
    token: str = ""
    """Required to download files, unless empty."""
    commit: str = COMMIT
    sent_commit: str = COMMIT
    sha256: dict[str, str] = field(default_factory=dict)
    """Wrong hashes to report, by file."""
    sizes: dict[str, Any] = field(default_factory=dict)
    """Wrong sizes to report, by file."""
    statuses: list[tuple[int, dict[str, str]]] = field(default_factory=list)
    """(status, headers) of the replies to the next requests, instead of the real replies."""
    info: bytes | None = None
    """The repository's description to send instead of the real one."""
    cut_after: list[int] = field(default_factory=list)
    """Bytes after which the next file replies break off, one entry per reply."""
    send_whole: bool = False
    """Ignores the Range header."""
    wrong_range: bool = False
    extra: bytes = b""
    """Bytes sent after the file, without Content-Length."""
    no_length: bool = False
    """Sends no Content-Length, so that a broken connection looks like the end of the file."""
    short_by: int = 0
    """Bytes missing at the end of the file."""
    redirect: str = ""
    """Address that file requests are redirected to."""
    silent: bool = False
    """Accepts requests but does not answer."""
    hold_after: int | None = None
    """Bytes of a file after which it sets `held` and sends nothing until `go_on` is set."""
    blobs: bool = True
    """Whether the description includes sizes and hashes."""
    address: str = ""
    requests: list[tuple[str, str, dict[str, str]]] = field(default_factory=list)
    sent: int = 0
    """Bytes of files sent so far."""
    held: threading.Event = field(default_factory=threading.Event)
    go_on: threading.Event = field(default_factory=threading.Event)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def digest(self, name: str) -> str:
        return self.sha256.get(name) or hashlib.sha256(self.files[name]).hexdigest()

    def size(self, name: str) -> Any:
        return self.sizes.get(name, len(self.files[name]))

    def describe(self) -> bytes:
        if self.info is not None:
            return self.info
        siblings: list[dict[str, Any]] = [{"rfilename": "README.md", "size": 10, "blobId": "b" * 40}]
        for name in self.files:
            size = self.size(name)
            lfs = {"size": size, "sha256": self.digest(name), "pointerSize": 130}
            siblings.append(
                {"rfilename": name} | ({"size": size, "blobId": "b" * 40, "lfs": lfs} if self.blobs else {})
            )
        tags = [f"license:{self.card['license']}"] if "license" in self.card else []
        body = {
            "id": REPO,
            "sha": self.commit,
            "siblings": siblings,
            "tags": tags,
            "cardData": self.card,
            "gated": False,
        }
        return json.dumps(body).encode()

    def ranges(self) -> list[str]:
        """The Range header of each GET of a file, empty where it was missing."""
        return [
            headers.get("range", "")
            for method, path, headers in self.requests
            if method == "GET" and "/resolve/" in path
        ]


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    hub: FakeHub

    def log_message(self, format: str, *args: object) -> None:
        pass

    def do_HEAD(self) -> None:
        self.answer()

    def do_GET(self) -> None:
        self.answer()

    def answer(self) -> None:
        hub, path = self.hub, unquote(urlsplit(self.path).path)
        headers = {name.lower(): value for name, value in self.headers.items()}
        with hub.lock:
            hub.requests.append((self.command, path, headers))
            status, extra = hub.statuses.pop(0) if hub.statuses else (0, {})
        if hub.silent:
            hub.go_on.wait(30)
            self.close_connection = True
            return
        if status:
            self.reply(status, b"[]", extra)
        elif re.fullmatch(rf"/api/models/{hub.repo}(/revision/[^/]+)?", path):
            self.reply(200, hub.describe())
        elif found := re.fullmatch(rf"/{hub.repo}/resolve/{hub.commit}/(.+)", path):
            self.file(found[1], headers)
        else:
            self.reply(404, b'{"error": "not found"}', {"X-Error-Code": "RepoNotFound"})

    def reply(self, status: int, body: bytes, headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in ({"Content-Length": str(len(body))} | (headers or {})).items():
            self.send_header(name, value)
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body)

    def file(self, name: str, headers: dict[str, str]) -> None:
        hub = self.hub
        if hub.token and headers.get("authorization") != f"Bearer {hub.token}":
            self.reply(401 if "authorization" not in headers else 403, b"{}", {"X-Error-Code": "GatedRepo"})
            return
        if name not in hub.files:
            self.reply(404, b"{}", {"X-Error-Code": "EntryNotFound"})
            return
        metadata = {"X-Repo-Commit": hub.sent_commit, "X-Linked-Etag": f'"{hub.digest(name)}"'}
        metadata |= {"X-Linked-Size": str(hub.size(name)), "ETag": f'"{hub.digest(name)}"'}
        if hub.redirect:
            self.reply(302, b"", metadata | {"Location": f"{hub.redirect}{self.path}"})
            return
        content = hub.files[name][: len(hub.files[name]) - hub.short_by]
        start = int(headers["range"].removeprefix("bytes=").rstrip("-")) if "range" in headers else 0
        start = 0 if hub.send_whole else start
        if start >= len(content) and start:
            self.reply(416, b"", {"Content-Range": f"bytes */{len(content)}"})
            return
        self.send(content, start, metadata)

    def send(self, content: bytes, start: int, headers: dict[str, str]) -> None:
        hub = self.hub
        self.send_response(206 if start else 200)
        if start:
            first = 0 if hub.wrong_range else start
            headers = headers | {"Content-Range": f"bytes {first}-{len(content) - 1}/{len(content)}"}
        if not hub.extra and not (hub.no_length and self.command == "GET"):
            headers = headers | {"Content-Length": str(len(content) - start)}
        else:
            self.close_connection = True
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command == "GET":
            self.body(content[start:] + hub.extra)

    def body(self, content: bytes) -> None:
        hub = self.hub
        cut = hub.cut_after.pop(0) if hub.cut_after else len(content)
        try:
            for at in range(0, min(cut, len(content)), 64 * 1024):
                if hub.hold_after is not None and at >= hub.hold_after:
                    hub.held.set()
                    hub.go_on.wait(30)
                piece = content[at : min(at + 64 * 1024, cut)]
                self.wfile.write(piece)
                hub.sent += len(piece)
        except OSError:
            self.close_connection = True
        if cut < len(content):
            self.close_connection = True


@contextmanager
def serving_hub(hub: FakeHub) -> Iterator[FakeHub]:
    """Serves `hub` on a port of localhost until the block ends."""
    handler = type("Handler", (_Handler,), {"hub": hub})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    hub.address = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), name="hub")
    thread.start()
    try:
        yield hub
    finally:
        hub.go_on.set()
        server.shutdown()
        thread.join(10)
        server.server_close()
