"""The measurement, against a service that answers at once and records its requests."""

import asyncio
from collections.abc import AsyncGenerator
from itertools import count

import pytest

from appliance import wire
from appliance.cli.benchmarking.measure import Bench, Measured
from appliance.cli.benchmarking.prompts import PromptMaker
from appliance.cli.benchmarking.record import BenchSettings
from appliance.errors import ApiError, Outcome
from appliance.wire import openai

TOKENS_PER_WORD, CPU_PER_REQUEST = 2, 0.5


class Notes:
    """Answers every request with as many tokens as were asked for."""

    def __init__(self, fails_at: int = 10**6) -> None:
        self.requests: list[openai.CompletionRequest] = []
        self.at_a_time = 0
        self.most = 0
        self.pid = 7
        self._fails_at = fails_at

    async def complete_stream(self, request: openai.CompletionRequest) -> AsyncGenerator[openai.CompletionChunk, None]:
        self.requests.append(request)
        if len(self.requests) == self._fails_at:
            raise ApiError("it died", "", Outcome(500, 1, "server_error", "model_crashed"))
        self.at_a_time += 1
        self.most = max(self.most, self.at_a_time)
        for _ in range(request.max_tokens or 0):
            await asyncio.sleep(0)
            yield openai.CompletionChunk(choices=[openai.ChunkChoice(text="x")])
        self.at_a_time -= 1
        assert isinstance(request.prompt, str)
        usage = wire.Usage(
            prompt_tokens=TOKENS_PER_WORD * len(request.prompt.split()), completion_tokens=request.max_tokens or 0
        )
        yield openai.CompletionChunk(usage=usage, docent={"timings": {"prefill": 0.5, "decode": 1.0}})

    async def memory(self) -> wire.Memory:
        spent = CPU_PER_REQUEST * len(self.requests)
        held = wire.MemoryHolder(id="m", kind="model", predicted=10, measured=9, pid=self.pid, cpu_seconds=spent)
        return wire.Memory(budget=100, used=10, holders=[held])


def run(service: Notes, clients: tuple[int, ...] = (1, 4)) -> Measured:
    settings = BenchSettings(prompt_tokens=100, answer_tokens=5, clients=clients, rounds=2)
    ticks = count()
    bench = Bench(
        service, "m", settings, PromptMaker("run"), clock=lambda: float(next(ticks)), report=lambda _: None
    )  # fmt: skip
    return asyncio.run(bench.run())


def test_every_prompt_has_the_length_and_a_start_of_its_own_but_for_the_cached_ones() -> None:
    service = Notes()
    run(service)
    prompts = [str(request.prompt) for request in service.requests[2:]]
    assert all(90 <= TOKENS_PER_WORD * len(prompt.split()) <= 120 for prompt in prompts)
    starts = [prompt.split()[0] for prompt in prompts]
    assert len(set(starts)) == len(starts) - 2  # one for each round is sent with a new end
    assert prompts[1].startswith(prompts[0])
    assert prompts[3].startswith(prompts[2])


def test_so_many_clients_are_served_at_a_time() -> None:
    service = Notes()
    measured = run(service, (1, 4, 6))
    assert service.most == 6
    assert [(one.clients, one.requests, one.answer_tokens) for one in measured.answering] == [
        (1, 2, 10), (4, 8, 40), (6, 12, 60)
    ]  # fmt: skip


def test_memory_and_cpu_time_are_the_models() -> None:
    measured = run(Notes())
    assert measured.memory.predicted == 10
    assert measured.memory.measured == 9
    assert measured.reading.cpu_seconds_per_1000 == pytest.approx(1000 * CPU_PER_REQUEST / 100)


def test_cpu_time_is_unknown_when_the_process_was_replaced() -> None:
    class Restless(Notes):
        async def memory(self) -> wire.Memory:
            self.pid += 1
            return await super().memory()

    measured = run(Restless())
    assert measured.reading.cpu_seconds_per_1000 is None
    assert measured.answering[0].cpu_seconds_per_1000 is None


def test_one_failed_request_ends_the_run_with_its_own_error() -> None:
    service = Notes(fails_at=12)
    with pytest.raises(ApiError, match="it died"):
        run(service)
