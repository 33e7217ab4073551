"""Edge cases of HTTP: every refusal has the same shape, and a disconnect is not a failure."""

import json
import logging
import os
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx2
import pytest

from appliance.api.middleware import MAX_BODY_BYTES
from tests.live import FAST, Live, live_service, places_of, short_home, wait_until
from tests.process import served

UPLOAD = b'--b\r\nContent-Disposition: form-data; name="file"; filename="half.pdf"\r\n\r\n'
HALF_UPLOAD = (
    b"POST /documents HTTP/1.1\r\nHost: x\r\nContent-Type: multipart/form-data; boundary=b\r\nContent-Length: 1000\r\n\r\n"
    + UPLOAD
)


@contextmanager
def connected(path: Path) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(20)
        client.connect(str(path))
        yield client


def reply_to(live: Live, request: bytes) -> bytes:
    with connected(live.places.socket) as client:
        client.sendall(request)
        received = b""
        while piece := client.recv(65_536):
            received += piece
        return received


def is_error(body: bytes) -> bool:
    error = json.loads(body)["error"]
    return set(error) == {"message", "type", "code", "hint"} and all(error.values())


@pytest.mark.parametrize(
    "request_", [b"garbage\r\n\r\n", b"GET /healthz HTTP/1.1\r\n\r\n", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\r\n\r\n"]
)
def test_bytes_that_are_not_http_get_an_error_of_the_usual_shape(answering: Live, request_: bytes) -> None:
    head, _, body = reply_to(answering, request_).partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 400")
    assert is_error(body)


def test_nonsense_after_a_request_closes_only_its_connection(answering: Live) -> None:
    with connected(answering.places.socket) as client:
        client.sendall(b"GET /events HTTP/1.1\r\nHost: x\r\n\r\n")
        assert client.recv(65_536).startswith(b"HTTP/1.1 200")
        client.sendall(b"garbage\r\n\r\n")
    assert answering.client.ready()


def test_a_body_too_long_for_memory_is_413(answering: Live) -> None:
    transport = httpx2.HTTPTransport(uds=str(answering.places.socket))
    with httpx2.Client(transport=transport, base_url="http://docent") as client:
        body = b'{"query":"' + b"x" * MAX_BODY_BYTES + b'"}'
        reply = client.post("/search", content=body, headers={"Content-Type": "application/json"})
    assert reply.status_code == 413
    assert is_error(reply.content)


def test_one_client_too_many_gets_the_usual_error_with_retry_after() -> None:
    settings = FAST.model_copy(update={"service": FAST.service.model_copy(update={"max_clients": 3})})
    with short_home() as home, live_service(Path(home), settings) as live:
        live.client.close()
        with connected(live.places.socket), connected(live.places.socket), connected(live.places.socket):
            reply = reply_to(live, b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
        head, _, body = reply.partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 503")
        assert b"retry-after" in head.lower()
        assert is_error(body)


def test_a_disconnect_during_an_upload_leaves_no_file_and_logs_no_failure(
    live: Live, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.ERROR):
        with connected(live.places.socket) as client:
            client.sendall(HALF_UPLOAD)
            wait_until(lambda: os.listdir(live.library), "the upload to begin")
        wait_until(lambda: not os.listdir(live.library), "the temporary file to go")
        assert live.client.ready()
    assert caplog.records == []


@pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning")  # httpcore2 leaves refused connections open
def test_a_stop_does_not_wait_for_clients() -> None:
    """The process exits within seconds despite a stalled upload, a listener to events and a long embedding."""
    texts = json.dumps({"model": "all-MiniLM-L6-v2", "input": ["word " * 100] * 2000}).encode()
    embed = b"POST /v1/embeddings HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"
    with short_home() as home, served(Path(home)) as service:
        places = places_of(Path(home))
        with (
            connected(places.socket) as upload,
            connected(places.socket) as watch,
            connected(places.socket) as embedding,
        ):
            upload.sendall(HALF_UPLOAD)
            watch.sendall(b"GET /events HTTP/1.1\r\nHost: x\r\n\r\n")
            embedding.sendall(embed % len(texts) + texts)
            wait_until(lambda: os.listdir(places.library), "the upload to begin")
            assert watch.recv(65_536)
            began = time.monotonic()
            assert service.terminate() == 0
            assert time.monotonic() - began < 8
            for client in (upload, embedding):
                head, _, body = client.recv(65_536).partition(b"\r\n\r\n")
                assert head.startswith(b"HTTP/1.1 503")
                assert is_error(body)
        assert os.listdir(places.library) == []
        assert not places.socket.exists()
