"""Providers behind the service answer from the documents: by name, as a fallback, killed, left by their client."""

import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import httpx2
import pytest

from appliance import wire
from appliance.config.settings import Settings
from appliance.errors import ApiError
from tests.conftest import SAMPLES
from tests.gguf_builder import Shape, write_model
from tests.live import FAST, Live, live_service, short_home, wait_until
from tests.models.providers.servers import ollama_server, openai_server

QUESTION = "How long may a person work alone in a freezer room?"
SLOW = {"context": 4096, "model": "tiny", "first_token_seconds": 20, "failure_calls": 1000}


@dataclass
class Far:
    """The service and the processes of its providers."""

    live: Live
    openai: "subprocess.Popen[bytes]"
    ollama: "subprocess.Popen[bytes]"

    def ask(self, **more: object) -> wire.Answer:
        return self.live.client.ask(wire.AskRequest.model_validate({"question": QUESTION, "max_tokens": 12} | more))

    def models(self) -> dict[str, wire.Model]:
        return {model.id: model for model in self.live.client.models()}


@pytest.fixture
def far() -> Iterator[Far]:
    """A service without local models; `vllm`, then `ollama` are its fallbacks, and no server listens for `gone`."""
    with ExitStack() as stack:
        home = Path(stack.enter_context(short_home()))
        model = write_model(home / "tiny.gguf", shape=Shape(context=4096))
        openai = stack.enter_context(openai_server(model, home / "v.sock"))
        ollama = stack.enter_context(ollama_server(model, home / "o.sock"))
        providers = {
            "vllm": SLOW | {"kind": "openai", "socket": str(home / "v.sock")},
            "ollama": SLOW | {"kind": "ollama", "socket": str(home / "o.sock")},
            "gone": SLOW | {"kind": "openai", "socket": str(home / "gone.sock"), "failure_calls": 2},
        }
        settings = Settings.model_validate(
            {**FAST.model_dump(), "answer": {"fallback": ["vllm", "ollama"], "passages": 2}, "providers": providers}
        )
        live = stack.enter_context(live_service(home / "home", settings))
        live.drop("policy.pdf", (SAMPLES / "cold-store-safety-policy.pdf").read_bytes())
        yield Far(live, openai, ollama)


def test_providers_answer_fall_back_fail_and_are_cancelled_visibly(far: Far) -> None:
    """Checks everything in one test with one service and its servers, because they are slow to start."""
    a_provider_asked_by_name_answers_under_its_name(far)
    a_provider_is_listed_and_serves_the_openai_api(far)
    unknown_names_and_loading_a_provider_are_refused(far)
    an_unreachable_provider_falls_back_visibly_and_is_then_skipped(far)
    a_client_that_disconnects_cancels_the_request(far)
    a_provider_killed_mid_stream_is_an_error_and_no_other_continues_its_answer(far)
    a_provider_killed_before_its_first_token_is_replaced_by_the_next(far)


def a_provider_asked_by_name_answers_under_its_name(far: Far) -> None:
    for name in ("vllm", "ollama"):
        answer = far.ask(model=name)
        assert (answer.model, answer.fallback, answer.error) == (name, None, None)
        assert answer.finish_reason in ("length", "stop")
        assert answer.usage.prompt_tokens > 50
    assert far.ask().model == "extractive", "a provider answers only when asked by name or as a fallback"


def a_provider_is_listed_and_serves_the_openai_api(far: Far) -> None:
    shown = far.models()["vllm"]
    assert (shown.kind, shown.state, shown.architecture, shown.context) == ("remote", "installed", "openai", 4096)
    transport = httpx2.HTTPTransport(uds=str(far.live.places.socket))
    with httpx2.Client(transport=transport, base_url="http://docent", timeout=60) as http:
        assert "ollama" in [model["id"] for model in http.get("/v1/models").json()["data"]]
        body = {"model": "ollama", "messages": [{"role": "user", "content": "The pump?"}], "max_tokens": 6}
        reply = http.post("/v1/chat/completions", json=body).json()
        assert reply["choices"][0]["message"]["content"]
        cited = http.post("/v1/chat/completions", json=body | {"model": "docent:vllm"}).json()
        assert cited["docent"]["model"] == "vllm"


def unknown_names_and_loading_a_provider_are_refused(far: Far) -> None:
    for request, code in [
        ({"model": "nobody"}, "model_not_found"),
        ({"model": "vllm", "adapters": [{"id": "absent"}]}, "adapter_not_found"),
    ]:
        with pytest.raises(ApiError) as caught:
            far.ask(**request)
        assert caught.value.outcome.code == code
    with pytest.raises(ApiError, match="it is a provider") as caught:
        far.live.client.model_action("vllm", "load")
    assert caught.value.outcome.status == 400


def an_unreachable_provider_falls_back_visibly_and_is_then_skipped(far: Far) -> None:
    for reason in ("no connection to", "no connection to", "left alone for now: 2 of its last 2 answers failed"):
        answer = far.ask(model="gone")
        assert answer.model == "vllm"
        assert answer.fallback is not None
        assert answer.fallback.from_ == "gone"
        assert reason in answer.fallback.reason
    shown = far.models()["gone"]
    assert (shown.state, "no connection" in (shown.reason or "")) == ("failed", True)


def a_client_that_disconnects_cancels_the_request(far: Far) -> None:
    events = far.live.client.ask_stream(
        wire.AskRequest(question=QUESTION, model="ollama", max_tokens=3000, stream=True)
    )
    next(events)
    next(events)
    events.close()  # type: ignore[attr-defined]
    log = far.live.places.home.with_name("o.log")
    wait_until(lambda: "the client left" in log.read_text(), "the server to be left", 20)
    assert far.ask(model="ollama").fallback is None


def a_provider_killed_mid_stream_is_an_error_and_no_other_continues_its_answer(far: Far) -> None:
    request = wire.AskRequest(question=QUESTION, model="ollama", max_tokens=3000, stream=True)
    events = far.live.client.ask_stream(request)
    seen: list[wire.AskEvent] = [next(events), next(events)]
    far.ollama.send_signal(signal.SIGKILL)
    seen += list(events)
    assert [event.type for event in seen[-2:]] == ["error", "done"]
    broken, done = seen[-2:]
    assert isinstance(broken, wire.ErrorEvent)
    assert isinstance(done, wire.DoneEvent)
    assert broken.error.code == "provider_failed"
    assert (done.model, done.finish_reason, done.fallback, done.error) == ("ollama", "error", None, broken.error)
    assert done.answer == "".join(event.text for event in seen if isinstance(event, wire.TokenEvent))


def a_provider_killed_before_its_first_token_is_replaced_by_the_next(far: Far) -> None:
    """Suspends `vllm` so that it stays silent, and kills it once it has the request; `ollama` is dead by now."""
    os.kill(far.openai.pid, signal.SIGSTOP)
    events = far.live.client.ask_stream(wire.AskRequest(question=QUESTION, model="vllm", stream=True))
    assert isinstance(next(events), wire.PassagesEvent)
    far.openai.send_signal(signal.SIGKILL)
    *_, done = events
    assert isinstance(done, wire.DoneEvent)
    assert (done.model, done.finish_reason) == ("extractive", "stop")
    assert done.citations
    assert done.fallback is not None
    assert done.fallback.from_ == "vllm"
    assert "the connection broke" in done.fallback.reason or "no connection to" in done.fallback.reason
    assert "then ollama: answering with the provider ollama: no connection to" in done.fallback.reason
