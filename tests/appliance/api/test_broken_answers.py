"""OpenAI's routes report an answer that fails midway and a provider that is paused."""

from collections.abc import AsyncIterator
from pathlib import Path

import httpx2
import pytest

from appliance.config.settings import Settings
from tests.conftest import SAMPLES
from tests.live import FAST, live_service, short_home
from tests.models.providers.scripted import MODELS, Scripted, serving, sse, whole, word

ASKED = {"messages": [{"role": "user", "content": "How long may a person work alone in a freezer room?"}]}


@pytest.fixture
async def http() -> AsyncIterator[httpx2.AsyncClient]:
    """A service whose provider `far` fails midway in each answer, and is paused after three of them."""
    with short_home() as place:
        home = Path(place)
        far = {"kind": "openai", "model": "m", "socket": str(home / "f.sock"), "failure_calls": 3, "open_seconds": 600}
        settings = Settings.model_validate({**FAST.model_dump(), "providers": {"far": far}})
        chat = sse(word("It is "), ends=False)
        script = Scripted({"/v1/models": whole(MODELS), "/v1/chat/completions": chat})
        with live_service(home / "home", settings) as live:
            live.drop("policy.pdf", (SAMPLES / "cold-store-safety-policy.pdf").read_bytes())
            transport = httpx2.AsyncHTTPTransport(uds=str(live.places.socket))
            async with (
                serving(home / "f.sock", script),
                httpx2.AsyncClient(transport=transport, base_url="http://docent", timeout=60) as client,
            ):
                yield client


async def test_a_failed_answer_reports_its_error_and_a_paused_provider_says_when_to_retry(
    http: httpx2.AsyncClient,
) -> None:
    for model in ("docent:far", "far"):
        reply = await http.post("/v1/chat/completions", json=ASKED | {"model": model})
        error = reply.json()["error"]
        assert (reply.status_code, error["code"]) == (502, "provider_failed"), error
        assert "the connection broke" in error["message"]
        assert error["hint"]
    await http.post("/v1/chat/completions", json=ASKED | {"model": "far"})
    reply = await http.post("/v1/chat/completions", json=ASKED | {"model": "far"})
    assert (reply.status_code, reply.json()["error"]["code"]) == (503, "provider_open")
    assert 590 < int(reply.headers["Retry-After"]) <= 600
