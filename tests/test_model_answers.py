"""A GGUF model behind the service: imported, loaded, asked, killed in the middle of an answer, unloaded."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from appliance import wire
from appliance.config.settings import Settings
from appliance.errors import ApiError
from models.catalog.catalog import Catalog
from tests.conftest import SAMPLES
from tests.gguf_builder import Shape, write_adapter, write_model
from tests.live import FAST, Live, live_service, short_home, wait_until

QUESTION = "How long may a person work alone in a freezer room?"
LONG = wire.AskRequest(question=QUESTION, model="noise", max_tokens=3000, stream=True)


@pytest.fixture(scope="module")
def service() -> Iterator[Live]:
    roomy = Settings.model_validate({**FAST.model_dump(), "models": {"threads": 1, "context": 8192}})
    with short_home() as home, live_service(Path(home), roomy) as live:
        live.drop("policy.pdf", (SAMPLES / "cold-store-safety-policy.pdf").read_bytes())
        source = write_model(Path(home) / "noise.gguf", shape=Shape(context=8192))
        Catalog(live.places.models).import_gguf(source)
        live.client.rescan_models()
        yield live


def model(live: Live) -> wire.Model:
    return next(model for model in live.client.models() if model.id == "noise")


def test_an_imported_model_is_loaded_and_unloaded_on_request(service: Live) -> None:
    assert service.client.model_action("noise", "load").state == "loaded"
    assert (model(service).memory or 0) > 0
    assert "noise" in service.client.status().models_loaded
    assert service.client.model_action("noise", "unload").state == "installed"


def test_the_only_model_answers_when_none_is_named_and_invents_no_citation(service: Live) -> None:
    answer = service.client.ask(wire.AskRequest(question=QUESTION, max_tokens=20))
    assert answer.model == "noise"
    assert answer.finish_reason in ("length", "stop")
    assert answer.usage.completion_tokens > 0
    assert all(citation.document == "policy.pdf" for citation in answer.citations)


def test_a_stream_begins_with_the_passages_and_ends_with_the_whole_answer(service: Live) -> None:
    request = wire.AskRequest(question=QUESTION, model="noise", max_tokens=20, stream=True)
    events = list(service.client.ask_stream(request))
    assert isinstance(events[0], wire.PassagesEvent)
    assert events[0].passages[0].document == "policy.pdf"
    done = events[-1]
    assert isinstance(done, wire.DoneEvent)
    assert "".join(event.text for event in events if isinstance(event, wire.TokenEvent)) == done.answer


def test_a_model_killed_during_an_answer_gives_an_error_event_and_the_next_question_works(service: Live) -> None:
    events = service.client.ask_stream(LONG)
    seen = [next(events), next(events)]
    (child,) = [one for one in psutil.Process().children() if "models" in " ".join(one.cmdline())]
    os.kill(child.pid, signal.SIGKILL)
    seen += list(events)
    assert [event.type for event in seen[-2:]] == ["error", "done"]
    done = seen[-1]
    assert isinstance(done, wire.DoneEvent)
    assert done.finish_reason == "error"
    again = service.client.ask(wire.AskRequest(question=QUESTION, model="noise", max_tokens=5))
    assert again.finish_reason in ("length", "stop")


def test_closing_the_stream_cancels_the_generation(service: Live) -> None:
    events = service.client.ask_stream(LONG)
    next(events)
    next(events)
    events.close()  # type: ignore[attr-defined]
    states = service.context.models
    wait_until(lambda: all(state.leases == 0 for state in states.manager.states()), "the lease to end", 10)


def test_an_unknown_adapter_is_refused_by_name_and_not_ignored(service: Live) -> None:
    request = wire.AskRequest(question=QUESTION, model="noise", adapters=[wire.AdapterUse(id="absent")])
    with pytest.raises(ApiError, match="absent") as caught:
        service.client.ask(request)
    assert caught.value.outcome.code == "adapter_not_found"


def test_an_adapter_changes_the_answer(service: Live) -> None:
    from models.adapters.catalog import AdapterCatalog

    source = write_adapter(service.places.home / "tone.gguf", shape=Shape(context=8192), strength=5.0)
    AdapterCatalog(service.places.adapters).import_gguf(source)
    service.client.rescan_models()
    plain = service.client.ask(wire.AskRequest(question=QUESTION, model="noise", max_tokens=20))
    toned = service.client.ask(
        wire.AskRequest(question=QUESTION, model="noise", max_tokens=20, adapters=[wire.AdapterUse(id="tone")])
    )
    assert toned.adapters == [wire.AdapterUse(id="tone")]
    assert toned.answer != plain.answer


def test_a_model_whose_file_breaks_after_import_falls_back_visibly() -> None:
    with short_home() as home, live_service(Path(home)) as live:
        live.drop("policy.pdf", (SAMPLES / "cold-store-safety-policy.pdf").read_bytes())
        Catalog(live.places.models).import_gguf(write_model(Path(home) / "noise.gguf"))
        live.client.rescan_models()
        (live.places.models / "noise" / "model.gguf").write_bytes(b"GGUF" + b"\0" * 100)
        answer = live.client.ask(wire.AskRequest(question=QUESTION, model="noise"))
        assert answer.model == "extractive"
        assert answer.fallback is not None
        assert answer.fallback.from_ == "noise"
        assert "25 minutes" in answer.answer


def test_the_embedding_model_holds_memory_and_is_shown_as_loaded_everywhere(service: Live) -> None:
    memory, (embedding, *_) = service.client.memory(), service.client.models()
    assert (memory.holders[0].id, memory.holders[0].kind) == (embedding.id, "embedding")
    assert memory.used >= memory.holders[0].predicted > 1 << 20
    assert embedding.state == "loaded"
    assert embedding.id in service.client.status().models_loaded
    with pytest.raises(ApiError, match="makes embeddings") as caught:
        service.client.ask(wire.AskRequest(question=QUESTION, model=embedding.id))
    assert caught.value.outcome.status == 404


def test_a_model_whose_file_is_missing_is_listed_as_failed_with_the_reason_and_falls_back_visibly() -> None:
    with short_home() as home, live_service(Path(home)) as live:
        live.drop("policy.pdf", (SAMPLES / "cold-store-safety-policy.pdf").read_bytes())
        Catalog(live.places.models).import_gguf(write_model(Path(home) / "noise.gguf"))
        live.client.rescan_models()
        (live.places.models / "noise" / "model.gguf").unlink()
        assert model(live).state == "failed"
        assert "is missing" in (model(live).reason or "")
        with pytest.raises(ApiError, match="is missing"):
            live.client.model_action("noise", "load")
        answer = live.client.ask(wire.AskRequest(question=QUESTION, model="noise"))
        assert answer.fallback is not None
        assert "is missing" in answer.fallback.reason
