"""`/documents` over the socket."""

import io
import json
import tempfile
from pathlib import Path

import httpx2
import pytest

from appliance.errors import ApiError
from tests.conftest import SAMPLES
from tests.live import FAST, Live, live_service, short_home, wait_until
from tests.mounts import Mounts

POLICY = (SAMPLES / "cold-store-safety-policy.pdf").read_bytes()


def http(live: Live) -> httpx2.Client:
    return httpx2.Client(transport=httpx2.HTTPTransport(uds=str(live.places.socket)), base_url="http://docent")


def test_an_uploaded_file_appears_in_its_collection_and_is_read(live: Live) -> None:
    added = live.client.add(io.BytesIO(POLICY), "policy.pdf", collection="safety", size=len(POLICY))
    assert (added.document, added.collection, added.size, added.replaced) == (
        "safety/policy.pdf",
        "safety",
        len(POLICY),
        False,
    )
    file = live.library / "safety" / "policy.pdf"
    assert file.read_bytes() == POLICY
    assert file.stat().st_mode & 0o777 == 0o640
    assert live.wait_for("safety/policy.pdf").state == "indexed"


def test_an_existing_name_is_409_unless_replace_is_set(live: Live) -> None:
    live.client.add(io.BytesIO(POLICY), "policy.pdf")
    with pytest.raises(ApiError) as caught:
        live.client.add(io.BytesIO(POLICY), "policy.pdf")
    assert (caught.value.outcome.status, caught.value.outcome.code) == (409, "document_exists")
    assert live.client.add(io.BytesIO(POLICY), "policy.pdf", replace=True).replaced


def test_while_the_library_is_not_mounted_nothing_is_written_or_taken_for_removed() -> None:
    with short_home() as home, tempfile.TemporaryDirectory(dir="/dev/shm") as shm:
        mounts = Mounts(Path(home), Path(shm) / "empty")
        with live_service(Path(home)) as live:
            policy = live.drop("policy.pdf", POLICY)
            mounts.mount(mounts.other)
            for refused in (
                lambda: live.client.add(io.BytesIO(POLICY), "new.pdf"),
                lambda: live.client.remove(policy.id),
            ):
                with pytest.raises(ApiError) as caught:
                    refused()
                assert (caught.value.outcome.status, caught.value.outcome.code) == (503, "library_away")
                assert "mount" in caught.value.hint
            assert list(mounts.other.iterdir()) == []
            assert live.document("policy.pdf") == policy
            mounts.mount(mounts.first)
            assert live.client.add(io.BytesIO(POLICY), "new.pdf").document == "new.pdf"


def test_a_file_name_finds_the_documents_that_have_it_or_else_similar_ones(live: Live) -> None:
    for path in ("lease.txt", "law/lease.txt", "law/other.md"):
        live.drop(path, path.encode())

    def found(name: str, collection: str | None = None) -> set[str]:
        page = live.client.document_page(like=name, collection=collection)
        return {document.document for document in page.documents}

    assert found("lease.txt") == {"lease.txt", "law/lease.txt"}
    assert found("lease.txt", collection="law") == {"law/lease.txt"}
    assert found("otter.md") == {"law/other.md"}
    assert found("otter.md", collection="") == set()
    assert len(live.client.document_page(limit=1, like="lease.txt").documents) == 1


def test_fields_may_come_after_the_file_as_curl_sends_them(live: Live) -> None:
    with http(live) as client:
        boundary = "xyz"
        body = (
            b'--xyz\r\nContent-Disposition: form-data; name="file"; filename="a.pdf"\r\n\r\n' + POLICY
            + b'\r\n--xyz\r\nContent-Disposition: form-data; name="collection"\r\n\r\nlate\r\n--xyz--\r\n'
        )  # fmt: skip
        reply = client.post(
            "/documents", content=body, headers={"Content-Type": f"multipart/form-data; boundary={boundary}"}
        )
    assert reply.status_code == 201
    assert reply.json()["document"] == "late/a.pdf"


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (b"", "multipart/form-data; boundary=xyz"),
        (b"{}", "application/json"),
        (b'--xyz\r\nContent-Disposition: form-data; name="file"; filename="a.pdf"\r\n\r\nhalf', "multipart/form-data; boundary=xyz"),
        (b'--xyz\r\nContent-Disposition: form-data; name="other"\r\n\r\nx\r\n--xyz--\r\n', "multipart/form-data; boundary=xyz"),
        (b'--xyz\r\nContent-Disposition: form-data; name="colection"\r\n\r\nsecret\r\n--xyz\r\nContent-Disposition: form-data; name="file"; filename="a.pdf"\r\n\r\nx\r\n--xyz--\r\n', "multipart/form-data; boundary=xyz"),
        (b'--xyz\r\nContent-Disposition: form-data; name="collection"\r\n\r\nx\r\n' * 2 + b"--xyz--\r\n", "multipart/form-data; boundary=xyz"),
        (b"--xyz\r\n" + b"".join(b"X-%d: y\r\n" % n for n in range(99)) + b"\r\nx\r\n--xyz--\r\n", "multipart/form-data; boundary=xyz"),
        (b"garbage", "multipart/form-data; boundary=xyz"),
        (b'--xyz\r\nContent-Disposition: form-data; name="file"; filename="../a.pdf"\r\n\r\nx\r\n--xyz\r\nContent-Disposition: form-data; name="name"\r\n\r\n../a.pdf\r\n--xyz--\r\n', "multipart/form-data; boundary=xyz"),
    ],
)  # fmt: skip
def test_a_malformed_upload_is_400_and_leaves_nothing_behind(live: Live, body: bytes, kind: str) -> None:
    with http(live) as client:
        reply = client.post("/documents", content=body, headers={"Content-Type": kind})
    assert reply.status_code == 400
    assert set(reply.json()["error"]) == {"message", "type", "code", "hint"}
    assert list(live.library.iterdir()) == []


def test_an_upload_over_the_limit_is_413() -> None:
    small = FAST.model_copy(update={"library": FAST.library.model_copy(update={"max_upload_bytes": 10})})
    with short_home() as home, live_service(Path(home), small) as live:
        with pytest.raises(ApiError) as caught:
            live.client.add(io.BytesIO(POLICY), "policy.pdf")
        assert caught.value.outcome.status == 413
        assert list(live.library.iterdir()) == []


def test_deleting_removes_the_file_and_the_document(live: Live) -> None:
    document = live.drop("policy.pdf", POLICY)
    live.client.remove(document.id)
    assert not (live.library / "policy.pdf").exists()
    with pytest.raises(ApiError) as caught:
        live.client.document(document.id)
    assert caught.value.outcome.code == "document_not_found"


def test_the_list_pages_through_all_documents_once(live: Live) -> None:
    for number in range(7):
        (live.library / f"{number}.pdf").write_bytes(b"\x7fELF")
    wait_until(lambda: live.client.status().documents.failed == 7, "seven failed documents")
    seen, cursor = [], None
    while True:
        page = live.client.document_page(limit=3, cursor=cursor)
        seen += [document.document for document in page.documents]
        if (cursor := page.next) is None:
            break
    assert seen == [f"{number}.pdf" for number in range(7)]


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("GET", "/documents/d999", None, 404),
        ("GET", "/documents/../../etc/passwd", None, 404),
        ("GET", "/documents?limit=0", None, 400),
        ("GET", "/documents?cursor=!!!", None, 400),
        ("GET", "/documents?state=lost", None, 400),
        ("GET", "/documents?collection=absent", None, 404),
        ("POST", "/search", {"query": ""}, 400),
        ("POST", "/search", {"query": "x" * 100_000}, 400),
        ("POST", "/search", {"query": "x", "k": 0}, 400),
        ("POST", "/search", {"query": "x", "kk": 1}, 400),
        ("POST", "/search", {"query": "x", "collection": "absent"}, 404),
        ("POST", "/ask", {"question": ""}, 400),
        ("POST", "/ask", {"question": "x" * 100_000}, 400),
        ("POST", "/ask", {"question": "x", "model": "absent"}, 404),
        ("POST", "/ask", {"question": "x", "model": "absent", "stream": True}, 404),
        ("POST", "/models/absent/load", None, 404),
        ("POST", "/models/all-MiniLM-L6-v2/load", None, 400),
        ("POST", "/models/absent/eat", None, 400),
        ("GET", "/nowhere", None, 404),
        ("PUT", "/documents", None, 405),
    ],
)
def test_every_refusal_has_the_same_shape(answering: Live, method: str, path: str, body: object, status: int) -> None:
    with http(answering) as client:
        content = json.dumps(body) if body is not None else None
        reply = client.request(method, path, content=content, headers={"Content-Type": "application/json"})
    assert reply.status_code == status
    assert set(reply.json()["error"]) == {"message", "type", "code", "hint"}
    assert reply.json()["error"]["message"]


def test_loading_the_embedding_model_says_that_nothing_is_to_be_done(answering: Live) -> None:
    with http(answering) as client:
        error = client.post("/models/all-MiniLM-L6-v2/load").json()["error"]
    assert error["message"] == "loading all-MiniLM-L6-v2: it is the embedding model, which is always loaded"
    assert error["hint"] == "nothing to do"
