"""How a worker divides its time between new requests and running answers, on the real engine."""

from collections.abc import Iterable
from pathlib import Path
from typing import cast

import pytest

from models.child_process.messages import Cancel, Count, Event, Generate, Raw, Request, Text, path_text
from models.types import GenerationRequest, LoadSettings, Sampling
from models.worker.engine import Engine
from models.worker.main import RequestChannel, Worker
from models.worker.prompting.prompt_builder import PromptBuilder
from tests.gguf_builder import write_model

PUMP = Raw(text="the pump is not open")
LETTERS = Sampling(logit_bias=((3 + ord("A"), 1000.0),))  # every token is a letter, so each makes an event


class _AllDone(Exception):
    """The script has no request left, and the worker is idle."""


class Script:
    """A channel on which all requests have already arrived."""

    def __init__(self, requests: Iterable[Request]) -> None:
        self._requests = iter(requests)
        self.events: list[Event] = []
        self.chances = 0

    def next(self, *, wait: bool) -> Request | None:
        request = next(self._requests, None)
        if request is None and wait:
            raise _AllDone
        return request

    def send(self, *events: Event) -> None:
        self.events += events

    def send_alive(self) -> None:
        self.chances += 1


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Engine:
    path: Path = write_model(tmp_path_factory.mktemp("m") / "m.gguf")
    return Engine(path_text(path), LoadSettings(context=64, threads=1))


def played(engine: Engine, *requests: Request, cost_s: float = 1.0) -> Script:
    """Runs a worker on these requests, with a clock that advances by `cost_s` at every reading."""
    script = Script(requests)
    times = iter(range(10**9))
    worker = Worker(cast(RequestChannel, script), engine, PromptBuilder(engine), clock=lambda: next(times) * cost_s)
    with pytest.raises(_AllDone):
        worker.run()
    return script


def generate(number: int) -> Generate:
    return Generate(
        id=number, request=GenerationRequest(prompt=PUMP.text, max_tokens=12, sampling=LETTERS, speculate=False)
    )


def kinds(script: Script) -> str:
    """`t` for each letter of an answer, `c` for each count."""
    names = {"text": "t", "counted": "c"}
    return "".join(names.get(event.type, "") for event in script.events)


def test_one_costly_request_is_started_between_two_tokens_of_an_answer(engine: Engine) -> None:
    script = played(engine, generate(1), *(Count(id=number, prompt=PUMP) for number in range(2, 8)))
    assert kinds(script).startswith("t" + "ct" * 6)
    assert script.chances >= 6


def test_cheap_requests_are_started_together(engine: Engine) -> None:
    script = played(engine, generate(1), *(Count(id=number, prompt=PUMP) for number in range(2, 8)), cost_s=0.0001)
    assert "cccccc" in kinds(script)


def test_a_request_cancelled_before_its_turn_is_never_started(engine: Engine) -> None:
    script = played(engine, generate(1), Count(id=2, prompt=PUMP), generate(3), Cancel(id=3), Cancel(id=2))
    assert {event.id for event in script.events if hasattr(event, "id")} == {1}
    assert len([event for event in script.events if isinstance(event, Text)]) == 12


def test_requests_do_not_wait_when_no_answer_is_running(engine: Engine) -> None:
    script = played(engine, *(Count(id=number, prompt=PUMP) for number in range(1, 8)))
    assert kinds(script) == "c" * 7
