"""Sends the requests of a benchmark and records the arrival times. Uses two methods of the client only.

Order: two requests determine the tokens per word (and load the model). Then prompts are read one at a time, each first
as a whole and then again with a new end. Then each number of simultaneous clients is answered.
"""

import asyncio
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import Final, Protocol

from appliance import wire
from appliance.cli.benchmarking.prompts import PromptMaker
from appliance.cli.benchmarking.record import Answering, BenchSettings, MemoryUse, Reading
from appliance.cli.benchmarking.samples import Sample, answering, reading
from appliance.wire import openai

_CALIBRATING_WORDS: Final = 64  # chosen by eye
_NEW_END: Final = " and then it ended"


class Service(Protocol):
    """The methods that a benchmark needs of the client."""

    def complete_stream(self, request: openai.CompletionRequest) -> AsyncGenerator[openai.CompletionChunk, None]: ...
    async def memory(self) -> wire.Memory: ...


@dataclass(frozen=True, slots=True)
class Measured:
    """All figures of one run."""

    reading: Reading
    answering: tuple[Answering, ...]
    memory: MemoryUse


class Bench:
    """One run. `clock` returns seconds; `report` receives a description of each step."""

    def __init__(
        self,
        service: Service,
        model: str,
        settings: BenchSettings,
        prompts: PromptMaker,
        *,
        clock: Callable[[], float],
        report: Callable[[str], None],
    ) -> None:
        self._service = service
        self._model = model
        self._settings = settings
        self._prompts = prompts
        self._clock = clock
        self._report = report
        self._sent = 0

    async def run(self) -> Measured:
        """Raises ApiError and ServiceUnreachable as the client does."""
        await self._calibrate()
        read = await self._read()
        answered = [await self._answer(clients, read.cpu_seconds_per_1000) for clients in self._settings.clients]
        return Measured(read, tuple(answered), await self._memory())

    async def _calibrate(self) -> None:
        self._report("loading the model")
        words = min(_CALIBRATING_WORDS, self._settings.prompt_tokens)
        short = await self._request(self._prompts.of_words(self._number(), words), 1)
        self._prompts = self._prompts.calibrated(words, short.prompt_tokens)
        # again at full length: its token count is more exact, and the first request of a length is slow
        prompt = self._prompts.make(self._number(), self._settings.prompt_tokens)
        full = await self._request(prompt, 1)
        self._prompts = self._prompts.calibrated(len(prompt.split()), full.prompt_tokens)

    async def _read(self) -> Reading:
        cold, cached, spent = [], [], []
        for done in range(self._settings.rounds):
            self._report(f"reading prompts, {done + 1} of {self._settings.rounds}")
            prompt = self._prompts.make(self._number(), self._settings.prompt_tokens)
            before = await self._holder()
            cold.append(await self._request(prompt, 1))
            spent.append(_spent(before, await self._holder()))
            cached.append(await self._request(prompt + _NEW_END, 1))
        return reading(cold, cached, _sum(spent))

    async def _answer(self, clients: int, cpu_per_1000_read: float | None) -> Answering:
        rounds = []
        before = await self._holder()
        for done in range(self._settings.rounds):
            self._report(f"answering {clients} at a time, {done + 1} of {self._settings.rounds}")
            rounds.append(await self._round(clients))
        return answering(clients, rounds, _spent(before, await self._holder()), cpu_per_1000_read)

    async def _round(self, clients: int) -> Sequence[Sample]:
        prompts = [self._prompts.make(self._number(), self._settings.prompt_tokens) for _ in range(clients)]
        try:
            async with asyncio.TaskGroup() as group:
                tasks = [group.create_task(self._request(one, self._settings.answer_tokens)) for one in prompts]
        except BaseExceptionGroup as errors:
            raise errors.exceptions[0] from None
        return [task.result() for task in tasks]

    async def _request(self, prompt: str, max_tokens: int) -> Sample:
        request = openai.CompletionRequest(model=self._model, prompt=prompt, max_tokens=max_tokens, seed=self._sent)
        arrivals: list[float] = []
        usage, timings = wire.Usage(), dict[str, float]()
        sent = self._clock()
        async with aclosing(self._service.complete_stream(request)) as chunks:
            async for chunk in chunks:
                if any(choice.text for choice in chunk.choices):
                    arrivals.append(self._clock())
                usage = chunk.usage or usage
                timings = (chunk.docent or {}).get("timings") or timings
        return Sample(
            sent=sent,
            arrivals=tuple(arrivals),
            ended=self._clock(),
            prompt_tokens=usage.prompt_tokens,
            answer_tokens=usage.completion_tokens,
            prefill_s=timings.get("prefill"),
            decode_s=timings.get("decode"),
        )

    async def _holder(self) -> wire.MemoryHolder | None:
        holders = (await self._service.memory()).holders
        return next((holder for holder in holders if holder.id == self._model), None)

    async def _memory(self) -> MemoryUse:
        holder = await self._holder()
        return MemoryUse(predicted=holder.predicted, measured=holder.measured) if holder else MemoryUse()

    def _number(self) -> int:
        self._sent += 1
        return self._sent


def _spent(before: wire.MemoryHolder | None, after: wire.MemoryHolder | None) -> float | None:
    """CPU seconds of the model's process in between; None if not reported, or if the process is another one."""
    if before is None or after is None or before.pid != after.pid:
        return None
    if before.cpu_seconds is None or after.cpu_seconds is None:
        return None
    return after.cpu_seconds - before.cpu_seconds


def _sum(parts: Sequence[float | None]) -> float | None:
    """The sum, or None if a part is unknown."""
    known = [part for part in parts if part is not None]
    return sum(known) if len(known) == len(parts) else None
