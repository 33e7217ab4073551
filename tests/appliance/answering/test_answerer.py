"""The events of an answer: without a model, with a real one of random weights, and with a scripted one."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager, aclosing, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from appliance import wire
from appliance.answering.answerer import Answerer, ModelLeases
from appliance.answering.extractive import NOT_FOUND
from appliance.config.settings import AnswerSettings, ModelSettings, Settings
from appliance.retrieval.search import Retriever
from appliance.store import Store
from models.adapters.catalog import AdapterCatalog
from models.catalog.catalog import Catalog
from models.embedding.embedder import Embedder
from models.errors import (
    InvalidModelFile,
    ModelBusy,
    ModelCrashed,
    ModelError,
    ModelLoadFailed,
    NotSupported,
    ProviderFailed,
    ProviderOpen,
    UnknownModel,
)
from models.providers.registry import Providers
from models.residency.manager import Manager, ModelDefaults
from models.types import AdapterRef, ChatMessage, FinalPiece, GenerationRequest, TextPiece, Usage
from tests.appliance.lending import OneModel
from tests.gguf_builder import Shape, write_model

QUESTION = "How often is the oil of the feed pump changed?"


@dataclass
class Script:
    """A model that streams a fixed text, then ends or fails."""

    pieces: Sequence[str] = ()
    error: ModelError | None = None
    refuses: ModelError | None = None
    context: int = 4096
    prompts: list[Sequence[ChatMessage]] = field(default_factory=list)
    closed: int = 0

    @property
    def catalog(self) -> "Script":
        return self

    adapters = catalog

    @property
    def id(self) -> str:
        return "scripted"

    def list(self) -> Sequence["Script"]:
        return [self]

    def get(self, model_id: str, /) -> object:
        if model_id != self.id:
            raise UnknownModel(f"using the model {model_id!r}", "it is not installed")
        return self

    def check(self, model_id: str, adapters: Sequence[AdapterRef]) -> None:
        self.get(model_id)

    def lease(self, model_id: str, adapters: Sequence[AdapterRef] = ()) -> AbstractAsyncContextManager["Script"]:
        return self._lease()

    @asynccontextmanager
    async def _lease(self) -> AsyncIterator["Script"]:
        if self.refuses:
            raise self.refuses
        yield self

    async def count_tokens(self, text: str) -> int:
        return len(text.split())

    async def count_chat_tokens(self, messages: Sequence[ChatMessage]) -> int:
        return sum(len(one.content.split()) for one in messages)

    def generate(self, request: GenerationRequest) -> "Saying":
        self.prompts.append(request.messages)
        return Saying(self)


@dataclass
class Several:
    """Scripts by name; only the first is installed here, the others are providers."""

    scripts: dict[str, Script]

    @property
    def catalog(self) -> "Several":
        return self

    adapters = catalog

    def list(self) -> Sequence[Script]:
        return [*self.scripts.values()][:1]

    def get(self, model_id: str, /) -> object:
        if model_id not in self.scripts:
            raise UnknownModel(f"using the model {model_id!r}", "it is not installed")
        return self

    def check(self, model_id: str, adapters: Sequence[AdapterRef]) -> None:
        if adapters and model_id != "scripted":
            raise NotSupported("using an adapter", "it is a provider")

    def lease(self, model_id: str, adapters: Sequence[AdapterRef] = ()) -> AbstractAsyncContextManager[Script]:
        self.get(model_id)
        return self.scripts[model_id].lease("scripted", adapters)


class Saying:
    """One generation of a `Script`."""

    def __init__(self, script: Script) -> None:
        self._script = script
        self._left = list(script.pieces)
        self._ended = False

    def __aiter__(self) -> AsyncIterator[TextPiece | FinalPiece]:
        return self  # type: ignore[return-value]

    async def __anext__(self) -> TextPiece | FinalPiece:
        await asyncio.sleep(0)
        if self._left:
            return TextPiece(self._left.pop(0))
        if self._script.error:
            raise self._script.error
        if self._ended:
            raise StopAsyncIteration
        self._ended = True
        return FinalPiece("stop", Usage(prompt_tokens=7, completion_tokens=3), 0.1, 0.2)

    async def aclose(self) -> None:
        self._script.closed += 1


@pytest.fixture
def ask(reports: Store, embedder: Embedder):  # type: ignore[no-untyped-def]
    retriever = Retriever(reports, OneModel(embedder))

    async def run(  # type: ignore[no-untyped-def]
        manager: Manager | ModelLeases | None = None,
        question: str = QUESTION,
        fallback: Sequence[str] = (),
        **asked: object,
    ):
        settings = Settings(answer=AnswerSettings(fallback=tuple(fallback)))
        names = Providers(manager) if isinstance(manager, Manager) else manager
        answerer = Answerer(retriever, reports, OneModel(embedder), names, settings)
        request = wire.AskRequest.model_validate({"question": question, **asked})
        return [event async for event in answerer.events(request)]

    return run


def texts(events: list[wire.AskEvent]) -> str:
    return "".join(event.text for event in events if isinstance(event, wire.TokenEvent))


def done(events: list[wire.AskEvent]) -> wire.DoneEvent:
    assert isinstance(events[0], wire.PassagesEvent)
    assert isinstance(events[-1], wire.DoneEvent)
    assert texts(events) == events[-1].answer
    return events[-1]


async def test_without_a_model_the_answer_is_extractive(ask) -> None:  # type: ignore[no-untyped-def]
    events = await ask()
    answer = done(events)
    assert (answer.model, answer.finish_reason, answer.fallback) == ("extractive", "stop", None)
    marked = events[0].passages[int(answer.citations[0].marker[1:-1]) - 1]
    assert (marked.document, marked.chunk_id) == (answer.citations[0].document, answer.citations[0].chunk_id)
    assert {"retrieve", "first_token", "total"} <= set(answer.timings)


async def test_a_question_the_documents_do_not_answer_is_reported(ask) -> None:  # type: ignore[no-untyped-def]
    answer = done(await ask(question="What is the capital of France?"))
    assert (answer.answer, answer.citations, answer.finish_reason) == (NOT_FOUND, [], "stop")


async def test_without_passages_no_model_runs(ask) -> None:  # type: ignore[no-untyped-def]
    script = Script(["made up"])
    answer = done(await ask(script, question="?"))
    assert (answer.answer, answer.model, script.prompts) == (NOT_FOUND, "extractive", [])


async def test_a_models_markers_become_citations_and_invented_ones_are_removed(ask) -> None:  # type: ignore[no-untyped-def]
    script = Script(["The oil is changed ", "every 500 hours [", "1]. It sings [", "42]."])
    answer = done(await ask(script, model="scripted"))
    assert answer.answer == "The oil is changed every 500 hours [1]. It sings."
    assert [(one.marker, one.supported) for one in answer.citations] == [("[1]", True)]
    assert "every 500 hours" in answer.citations[0].quote
    assert (answer.model, answer.usage.total_tokens) == ("scripted", 10)


async def test_a_claim_with_another_number_is_not_supported(ask) -> None:  # type: ignore[no-untyped-def]
    answer = done(await ask(Script(["The oil is changed every 900 hours [1]."])))
    assert [one.supported for one in answer.citations] == [False]


async def test_the_prompt_has_the_passages_and_the_question(ask) -> None:  # type: ignore[no-untyped-def]
    script = Script(["Yes."])
    await ask(script)
    (said,) = script.prompts
    assert "500 hours" in said[-1].content
    assert said[-1].content.endswith(f"Question: {QUESTION}\nAnswer with citations like [1]:")


@pytest.mark.parametrize("error", [ModelLoadFailed, ModelBusy, ModelCrashed])
async def test_the_answer_reports_the_fallback_for_a_model_that_cannot_begin(ask, error: type[ModelError]) -> None:  # type: ignore[no-untyped-def]
    for script in (Script(refuses=error("loading", "no luck")), Script(error=error("loading", "no luck"))):
        answer = done(await ask(script))
        assert answer.model == "extractive"
        assert answer.fallback == wire.Fallback.model_validate({"from": "scripted", "reason": "loading: no luck"})
        assert answer.citations


def line(last: Script) -> Several:
    """A model that crashes, a provider that is paused, and one more."""
    return Several(
        {
            "scripted": Script(refuses=ModelCrashed("loading", "no luck")),
            "far": Script(refuses=ProviderOpen("asking far", "left alone")),
            "near": last,
        }
    )


async def test_the_next_fallback_answers_and_all_earlier_reasons_are_reported(ask) -> None:  # type: ignore[no-untyped-def]
    answer = done(await ask(line(Script(["Every 500 hours [1]."])), fallback=["far", "gone", "near"]))
    assert (answer.model, answer.answer, answer.finish_reason) == ("near", "Every 500 hours [1].", "stop")
    assert answer.fallback is not None
    assert answer.fallback.from_ == "scripted"
    assert answer.fallback.reason == (
        "loading: no luck; then far: asking far: left alone; then gone: using the model 'gone': it is not installed"
    )
    assert [one.marker for one in answer.citations] == ["[1]"]


async def test_if_all_fallbacks_fail_the_answer_is_extractive(ask) -> None:  # type: ignore[no-untyped-def]
    answer = done(await ask(line(Script(error=ProviderFailed("asking near", "gone"))), fallback=["far", "near"]))
    assert (answer.model, answer.adapters) == ("extractive", [])
    assert answer.fallback is not None
    assert answer.fallback.reason.endswith("then near: asking near: gone")


async def test_a_fallback_that_fails_mid_answer_is_not_replaced(ask) -> None:  # type: ignore[no-untyped-def]
    breaks = Script(["Every"], error=ProviderFailed("asking near", "gone", "look"))
    events = await ask(line(breaks), fallback=["near", "far"])
    answer = done(events)
    assert isinstance(events[-2], wire.ErrorEvent)
    assert (answer.model, answer.finish_reason, answer.answer) == ("near", "error", "Every")
    assert answer.error == events[-2].error
    assert answer.error is not None
    assert answer.error.code == "provider_failed"


async def test_a_fallback_does_not_use_the_failed_models_adapters(ask) -> None:  # type: ignore[no-untyped-def]
    several = line(Script(["Yes."]))
    several.scripts["tone"] = Script()
    answer = done(await ask(several, fallback=["near"], adapters=[{"id": "tone"}], model="scripted"))
    assert (answer.model, answer.adapters) == ("near", [])


async def test_adapters_with_a_provider_are_refused_before_the_first_event(ask) -> None:  # type: ignore[no-untyped-def]
    several = line(Script(["Yes."]))
    several.scripts["tone"] = Script()
    with pytest.raises(NotSupported):
        await ask(several, fallback=["far"], adapters=[{"id": "tone"}], model="near")


async def test_the_requested_model_is_not_tried_twice(ask) -> None:  # type: ignore[no-untyped-def]
    only = Script(error=ProviderFailed("asking", "gone"))
    answer = done(await ask(Several({"scripted": only}), fallback=["scripted", "scripted"]))
    assert answer.fallback is not None
    assert answer.fallback.reason == "asking: gone"


async def test_a_question_too_long_for_the_model_is_answered_without_it(ask) -> None:  # type: ignore[no-untyped-def]
    answer = done(await ask(Script(["x"], context=256), question=QUESTION + " really" * 300))
    assert answer.fallback is not None


async def test_a_model_that_fails_mid_answer_keeps_the_text_so_far(ask) -> None:  # type: ignore[no-untyped-def]
    events = await ask(Script(["Every 500 hours [1]. And"], error=ModelCrashed("answering", "it died", "ask again")))
    answer = done(events)
    assert isinstance(events[-2], wire.ErrorEvent)
    assert (events[-2].error.code, events[-2].error.hint) == ("model_crashed", "ask again")
    assert (answer.finish_reason, answer.answer, answer.fallback) == ("error", "Every 500 hours [1]. And", None)
    assert len(answer.citations) == 1


async def test_an_adapter_that_does_not_fit_is_an_error_without_fallback(ask) -> None:  # type: ignore[no-untyped-def]
    events = await ask(Script(refuses=InvalidModelFile("the adapter", "made for another model")))
    assert isinstance(events[1], wire.ErrorEvent)
    assert (done(events).finish_reason, done(events).error) == ("error", events[1].error)


async def test_an_unknown_model_is_refused_before_the_first_event(ask) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(UnknownModel):
        await ask(Script(), model="nobody")


async def test_closing_the_events_closes_the_generation(reports: Store, embedder: Embedder) -> None:
    script = Script(["word "] * 1000)
    answerer = Answerer(Retriever(reports, OneModel(embedder)), reports, OneModel(embedder), script, Settings())
    async with aclosing(answerer.events(wire.AskRequest(question=QUESTION))) as events:
        async for event in events:
            if isinstance(event, wire.TokenEvent):
                break
    assert script.closed == 1


@asynccontextmanager
async def random_model(folder: Path) -> AsyncIterator[Manager]:
    catalog = Catalog(folder / "models")
    catalog.import_gguf(write_model(folder / "tiny.gguf", shape=Shape(context=4096)), model_id="tiny")
    defaults = ModelDefaults(context=4096, threads=1)
    async with Manager(
        catalog, AdapterCatalog(folder / "adapters"), budget_bytes=2 << 30, defaults=defaults
    ) as manager:
        yield manager


async def test_a_random_model_streams_noise_without_citations(ask, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    (tmp_path / "models").mkdir()
    async with random_model(tmp_path) as manager:
        answer = done(await ask(manager, max_tokens=12))
    assert (answer.model, answer.fallback) == ("tiny", None)
    assert answer.usage.prompt_tokens > 100
    assert answer.finish_reason in ("stop", "length")


async def test_a_model_killed_in_mid_answer_gives_an_error_and_the_next_question_works(
    reports: Store, embedder: Embedder, tmp_path: Path
) -> None:
    (tmp_path / "models").mkdir()
    settings = Settings(models=ModelSettings(default="tiny"))
    async with random_model(tmp_path) as manager:
        answerer = Answerer(
            Retriever(reports, OneModel(embedder)), reports, OneModel(embedder), Providers(manager), settings
        )
        events = []
        async for event in answerer.events(wire.AskRequest(question=QUESTION, max_tokens=2000)):
            if isinstance(event, wire.TokenEvent) and len(events) == 2:
                pid = manager.state("tiny").pid
                assert pid is not None
                os.kill(pid, signal.SIGKILL)
            events.append(event)
        assert isinstance(events[-2], wire.ErrorEvent)
        assert done(events).finish_reason == "error"
        again = [event async for event in answerer.events(wire.AskRequest(question=QUESTION, max_tokens=4))]
        assert done(again).model == "tiny"
