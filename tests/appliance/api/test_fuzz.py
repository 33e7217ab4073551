"""No request that schemathesis builds from the service's OpenAPI document makes the service fail."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest

from appliance import wire
from appliance.api.errors import error_body, error_reply
from appliance.errors import InvalidRequest
from models.catalog.catalog import Catalog
from tests.api_fuzz import fuzz
from tests.gguf_builder import write_model
from tests.live import Live, live_service, short_home

HELLO = [{"role": "user", "content": "the pump"}]
DEEP = "[" * 50_000 + "]" * 50_000


@pytest.fixture(scope="module")
def service() -> Iterator[Live]:
    with short_home() as home, live_service(Path(home)) as live:
        Catalog(live.places.models).import_gguf(write_model(Path(home) / "noise.gguf"))
        live.client.rescan_models()
        yield live


def test_no_request_makes_the_service_fail(service: Live) -> None:
    seen = fuzz(service.places.socket, examples=8)
    assert service.client.status().ready
    assert seen[200] > 20, seen
    assert seen[400] > 20, seen


def chat(**more: Any) -> bytes:
    return json.dumps({"model": "noise", "messages": HELLO, "max_tokens": 4, **more}).encode()


@pytest.mark.parametrize(
    ("body", "statuses"),
    [
        (b"", {400}),
        (b"null", {400}),
        (b"{", {400}),
        (b"\xff\xfe", {400}),
        (DEEP.encode(), {400}),
        (b'{"model": "noise", "messages": ' + DEEP.encode() + b"}", {400}),
        (chat(messages=[{"role": "user", "content": "\ud800 \x00 \udfff"}]), {200}),
        (chat(messages=[{"role": "user", "content": None}]), {200}),
        (chat(messages=[{"role": "tool", "content": "x"}]), {200, 400}),
        (chat(messages=[{"role": "assistant", "content": "", "tool_calls": [{}]}]), {400}),
        (chat(model="\ud800"), {404}),
        (chat(model="noise:\x00"), {404}),
        (chat(model="docent:" + "x" * 100_000), {404}),
        (chat(model="../../etc/passwd"), {404}),
        (chat(stop=["\ud800"]), {400}),
        (chat(stop=[""]), {400}),
        (chat(seed=10**400), {400}),
        (chat(seed=-(2**63)), {200}),
        (chat(max_tokens=10**30), {200}),
        (chat(temperature=float("nan")), {400}),
        (chat(temperature=float("inf")), {400}),
        (chat(logit_bias={"-1": 1}), {400}),
        (chat(logit_bias={"5": float("nan")}), {400}),
        (chat(grammar="\ud800"), {400}),
        (chat(grammar="\x00"), {400}),
        (chat(grammar='root ::= "\x00"'), {200}),
        (chat(response_format={"type": "json_schema", "json_schema": {"schema": {"enum": ["\ud800"]}}}), {400}),
        (chat(response_format={"type": "json_schema", "json_schema": {"schema": {"minItems": 1e999}}}), {400}),
        (chat(response_format={"type": "json_schema", "json_schema": {"schema": {"$ref": "#/" + "a/" * 9}}}), {400}),
    ],
    ids=lambda value: str(value)[:60] if isinstance(value, bytes) else "",
)
def test_odd_bodies_are_answered_or_refused(service: Live, body: bytes, statuses: set[int]) -> None:
    with httpx2.Client(transport=httpx2.HTTPTransport(uds=str(service.places.socket)), timeout=30) as client:
        url = "http://docent/v1/chat/completions"
        reply = client.post(url, content=body, headers={"Content-Type": "application/json"})
        assert reply.status_code in statuses, reply.text
        if reply.status_code != 200:
            assert reply.json()["error"]["message"]
        for kind in ("text/plain", "application/xml", "multipart/form-data", "application/json; charset=utf-7", "x"):
            assert client.post(url, content=body, headers={"Content-Type": kind}).status_code < 500


def test_a_schema_of_any_depth_is_answered_or_refused(service: Live) -> None:
    with httpx2.Client(transport=httpx2.HTTPTransport(uds=str(service.places.socket)), timeout=30) as client:
        for depth in [*range(50, 800, 150), *range(800, 1000, 10)]:
            schema = '{"a":' * depth + "1" + "}" * depth
            form = '{"type": "json_schema", "json_schema": {"schema": ' + schema + "}}"
            body = chat()[:-1] + b', "response_format": ' + form.encode() + b"}"
            url, headers = "http://docent/v1/chat/completions", {"Content-Type": "application/json"}
            assert client.post(url, content=body, headers=headers).status_code in (200, 400), depth


def test_an_error_about_a_lone_surrogate_can_be_sent() -> None:
    reply = error_reply(InvalidRequest("\ud800", "it is \udfff", "send \ud801 no more"))
    assert json.loads(bytes(reply.body))["error"]["message"] == "?: it is ?"
    event = wire.ErrorEvent(error=error_body(InvalidRequest("\ud800", "is half", "none")))
    assert "?: is half" in event.model_dump_json()
