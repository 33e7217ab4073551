"""Nothing that waits for the disk, a lock or a model runs on the event loop: a detector fails any that does."""

from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest
from blockbuster import BlockingError, blockbuster_ctx

from appliance.api.app import create_app
from appliance.library.collection_rights import Peer
from tests.conftest import SAMPLES
from tests.live import Live, live_service, short_home

QUESTION = "How long may a person work alone in a freezer room?"
OURS = ["appliance", "models", "ingest"]
STRANGER = Peer(2, 54_321, frozenset({54_322}))
POLICY = (SAMPLES / "cold-store-safety-policy.pdf").read_bytes()


@pytest.fixture(scope="module")
def service() -> Iterator[Live]:
    with short_home() as home, live_service(Path(home)) as live:
        live.drop("policy.pdf", POLICY)
        yield live


async def test_the_detector_sees_our_own_blocking_calls(service: Live) -> None:
    with blockbuster_ctx(OURS), pytest.raises(BlockingError):
        service.context.rights.look()


async def test_no_route_blocks_the_event_loop(service: Live) -> None:
    document = service.document("policy.pdf")
    assert document is not None
    message = {"role": "user", "content": QUESTION}
    app = create_app(service.context)

    async def with_peer(scope: dict[str, object], receive: object, send: object) -> None:
        scope["state"] = {"peer": STRANGER}
        await app(scope, receive, send)  # type: ignore[arg-type]

    service.library.chmod(0o777)  # a caller who is no administrator, so that its rights are looked up
    transport = httpx2.ASGITransport(with_peer)  # type: ignore[arg-type]
    async with httpx2.AsyncClient(transport=transport, base_url="http://docent") as client:
        with blockbuster_ctx(OURS):  # the client in this test may block
            replies = [
                await client.get("/documents"),
                await client.get(f"/documents/{document.id}"),
                await client.post("/documents", files={"file": ("other.pdf", POLICY)}, data={"replace": "true"}),
                await client.post(f"/documents/{document.id}/retry"),
                await client.post("/documents", files={"file": (".refused.pdf", POLICY)}),
                await client.post("/documents", files={"document": ("unknown.pdf", POLICY)}),
                await client.post("/documents", files={"file": ("twice.pdf", POLICY)}, data={"unknown": "field"}),
                await client.post("/search", json={"query": QUESTION}),
                await client.post("/ask", json={"question": QUESTION, "stream": True}),
                await client.post("/v1/chat/completions", json={"messages": [message]}),
                await client.post("/v1/embeddings", json={"input": ["a pump", "a valve"]}),
                await client.get("/v1/models"),
                await client.get("/models"),
                await client.get("/memory"),
                await client.get("/status"),
                await client.get("/metrics"),
                await client.delete(f"/documents/{document.id}"),
            ]
    assert [reply.status_code for reply in replies] == [200, 200, 201, 200, *[400] * 3, *[200] * 10], [
        reply.text for reply in replies if reply.status_code >= 400
    ]
