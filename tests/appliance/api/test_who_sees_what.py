"""Callers see only the collections whose folders they may read: the routes, with real folders and rights."""

import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx2
import pytest
from fastapi import FastAPI

from appliance import wire
from appliance.api.app import create_app
from appliance.api.routes import events
from appliance.library.collection_rights import Peer
from tests.conftest import SAMPLES
from tests.live import Live, live_service, short_home, wait_until
from tests.mounts import Mounts

STRANGER = Peer(2, 54_321, frozenset({54_322}))


@pytest.fixture(scope="module")
def service() -> Iterator[Live]:
    """One document that everyone may see, and one in a collection closed to others."""
    with short_home() as home, live_service(Path(home)) as live:
        live.library.chmod(0o755)
        live.drop("open.pdf", (SAMPLES / "cold-store-safety-policy.pdf").read_bytes())
        live.drop("closed/secret.pdf", (SAMPLES / "tideline-400-watermaker-manual.pdf").read_bytes())
        (live.library / "closed").chmod(0o700)
        yield live


@asynccontextmanager
async def stranger(live: Live) -> AsyncIterator[httpx2.AsyncClient]:
    """A client that the kernel reports as another user."""

    async def app(scope: dict[str, object], receive: object, send: object) -> None:
        scope["state"] = {"peer": STRANGER}
        await inner(scope, receive, send)  # type: ignore[arg-type]

    inner: FastAPI = create_app(live.context)
    transport = httpx2.ASGITransport(app)  # type: ignore[arg-type]
    async with httpx2.AsyncClient(transport=transport, base_url="http://docent") as client:
        yield client


async def test_a_closed_collection_does_not_exist_for_a_stranger(service: Live) -> None:
    secret = service.document("closed/secret.pdf")
    assert secret is not None
    async with stranger(service) as client:
        listed = (await client.get("/documents")).json()["documents"]
        assert [document["document"] for document in listed] == ["open.pdf"]
        assert (await client.get("/documents", params={"document": "closed/secret.pdf"})).json()["documents"] == []
        for name in ("secret.pdf", "secrets.pdf"):
            assert (await client.get("/documents", params={"like": name})).json()["documents"] == []
        assert (await client.get("/documents", params={"collection": "closed"})).status_code == 404
        assert (await client.get(f"/documents/{secret.id}")).status_code == 404
        assert (await client.get(f"/documents/{secret.id}/pages/1")).status_code == 404
        assert (await client.delete(f"/documents/{secret.id}")).status_code == 404
        assert (await client.post(f"/documents/{secret.id}/retry")).status_code == 404
    assert (service.library / "closed" / "secret.pdf").exists()


async def test_search_and_answers_use_only_what_the_caller_may_see(service: Live) -> None:
    question = "What does alarm A24 of the watermaker mean?"
    async with stranger(service) as client:
        found = (await client.post("/search", json={"query": question, "k": 50})).json()["results"]
        assert {hit["document"] for hit in found} <= {"open.pdf"}
        answer = (await client.post("/ask", json={"question": question})).json()
        assert {citation["document"] for citation in answer["citations"]} <= {"open.pdf"}
        message = {"role": "user", "content": question}
        reply = (await client.post("/v1/chat/completions", json={"messages": [message]})).json()
        assert {citation["document"] for citation in reply["docent"]["citations"]} <= {"open.pdf"}


async def test_counts_cover_only_what_the_caller_may_see(service: Live) -> None:
    assert service.client.status().documents.indexed == 2
    async with stranger(service) as client:
        assert (await client.get("/status")).json()["documents"]["indexed"] == 1
        assert 'docent_documents{state="indexed"} 1.0' in (await client.get("/metrics")).text


def test_events_cover_only_what_the_caller_may_see(service: Live) -> None:
    secret = service.document("closed/secret.pdf")
    told = service.context.monitor.status()
    seen = [
        events._seen(service.context, STRANGER, event)
        for event in (wire.Event(type="document", document=secret), wire.Event(type="status", status=told))
    ]
    assert seen[0] is None
    assert seen[1] is not None
    assert seen[1].status is not None
    assert seen[1].status.documents.indexed == 1


@pytest.mark.parametrize(
    ("method", "path"), [("POST", "/models/rescan"), ("POST", "/models/x/load"), ("POST", "/models/x/unpin")]
)
async def test_changing_the_models_needs_an_administrator(service: Live, method: str, path: str) -> None:
    async with stranger(service) as client:
        reply = await client.request(method, path)
    assert reply.status_code == 403
    assert reply.json()["error"]["hint"]


async def test_a_caller_without_write_permission_on_the_folder_is_refused(service: Live) -> None:
    document = service.document("open.pdf")
    assert document is not None
    async with stranger(service) as client:
        assert (await client.delete(f"/documents/{document.id}")).status_code == 403
        assert (await client.post("/documents", files={"file": ("a.pdf", b"x")})).status_code == 403
    assert sorted(path.name for path in service.library.iterdir()) == ["closed", "open.pdf"]


@pytest.fixture
def mounts() -> Iterator[Mounts]:
    """The home of a service whose library can be unmounted; the empty mount point is open to all."""
    with short_home() as home, tempfile.TemporaryDirectory(dir="/dev/shm") as shm:
        made = Mounts(Path(home), Path(shm) / "empty")
        made.other.chmod(0o777)
        yield made


async def changes_refused(client: httpx2.AsyncClient, document_id: str) -> set[tuple[int, str]]:
    """Return the status and code of adding and of removing."""
    replies = (
        await client.post("/documents", files={"file": ("a.pdf", b"x")}),
        await client.delete(f"/documents/{document_id}"),
    )
    return {(reply.status_code, reply.json()["error"]["code"]) for reply in replies}


async def test_while_the_library_is_not_mounted_callers_see_what_they_saw_before(mounts: Mounts) -> None:
    with live_service(mounts.library.parent) as live:
        mounts.first.chmod(0o750)
        secret = live.drop("secret.txt", b"The alarm's code is four.")
        shown = live.drop("open/shown.txt", b"The alarm is in the hall.")
        (mounts.first / "open").chmod(0o755)
        live.context.rights.look()  # as is done every few seconds
        mounts.mount(mounts.other)
        wait_until(lambda: live.client.status().library_away, "the library to be away")
        async with stranger(live) as client:
            listed = (await client.get("/documents")).json()["documents"]
            assert [document["id"] for document in listed] == [shown.id]
            found = (await client.post("/search", json={"query": "alarm", "collection": "open"})).json()["results"]
            assert {hit["document"] for hit in found} == {"open/shown.txt"}
            assert (await client.get(f"/documents/{secret.id}")).status_code == 404
            assert await changes_refused(client, shown.id) == {(503, "library_away")}
        assert list(mounts.other.iterdir()) == []


async def test_after_a_start_without_the_library_the_empty_mount_point_gives_no_rights(mounts: Mounts) -> None:
    with live_service(mounts.library.parent) as live:
        policy = live.drop("policy.txt", b"Nobody works alone.")
    mounts.mount(mounts.other)
    with live_service(mounts.library.parent) as live:
        assert live.document("policy.txt") == policy
        async with stranger(live) as client:
            for reply in (await client.get("/documents"), await client.post("/search", json={"query": "alone"})):
                assert (reply.status_code, reply.json()["error"]["code"]) == (503, "library_away")
                assert "mount" in reply.json()["error"]["hint"]
            assert await changes_refused(client, policy.id) == {(503, "library_away")}
