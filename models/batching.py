"""Continuous batching: which tokens of which requests are decoded next. Thread-free, driven by `step()`.

Rules: every step decodes one token for each running request and fills up with pieces of waiting prompts, so that a
long prompt delays the others' next token by one step only. Requests with different adapters never share a batch; the
groups take turns. All sequences share the cells of the context: when they run out, the youngest request is put back to
the head of the queue and later continues from its tokens, so the oldest always ends.
"""

import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final, Literal, Protocol

from models.engine import Entry, Sampler
from models.output import Choice, Output
from models.protocol import Event, Finished, Started, Usage

AdapterSet = tuple[tuple[str, float], ...]
_PROMPT_SHARE: Final = 64  # tokens of prompts in a step while others are answering


class Runtime(Protocol):
    """What of an engine is needed."""

    cells: int
    context: int
    batch: int
    parallel: int

    def decode(self, entries: Sequence[Entry]) -> None: ...
    def sample(self, sampler: Sampler, index: int) -> Choice: ...
    def piece(self, token: int) -> bytes: ...
    def is_end(self, token: int) -> bool: ...
    def forget(self, sequence: int) -> None: ...
    def use_adapters(self, adapters: AdapterSet) -> None: ...


@dataclass(slots=True, eq=False)
class Job:
    """One request: its tokens so far, prompt first, and how far they are decoded."""

    id: int
    tokens: list[int]
    max_tokens: int
    sampler: Sampler
    output: Output
    adapters: AdapterSet = ()
    prompt_tokens: int = field(init=False)
    sequence: int = -1
    decoded: int = 0
    began: float = 0.0
    answered: float = 0.0

    def __post_init__(self) -> None:
        self.prompt_tokens = len(self.tokens)

    @property
    def made(self) -> int:
        """Tokens of the answer so far."""
        return len(self.tokens) - self.prompt_tokens

    @property
    def answering(self) -> bool:
        """Whether only the newest token is left to decode."""
        return len(self.tokens) - self.decoded == 1


class Batcher:
    """Runs jobs on a runtime."""

    def __init__(self, runtime: Runtime, clock: Callable[[], float] = time.monotonic) -> None:
        self._runtime = runtime
        self._clock = clock
        self._waiting: deque[Job] = deque()
        self._running: list[Job] = []  # oldest first
        self._free = list(range(runtime.parallel))[::-1]
        self._last_group: AdapterSet | None = None

    @property
    def busy(self) -> bool:
        return bool(self._waiting or self._running)

    def submit(self, job: Job) -> None:
        """Queue a job. Its prompt must be shorter than the runtime's context."""
        self._waiting.append(job)

    def cancel(self, job_id: int) -> None:
        """Forget the job, wherever it is; no further event names it."""
        for job in [*self._running, *self._waiting]:
            if job.id == job_id:
                self._drop(job)

    def step(self) -> list[Event]:
        """Decode one batch and tell what came of it."""
        events = self._admit()
        group = self._next_group()
        entries, owners = self._gather(group)
        if not entries:
            return events
        self._runtime.use_adapters(group)
        self._runtime.decode(entries)
        for job, index in owners:
            events += self._advance(job, self._runtime.sample(job.sampler, index))
        return events

    # -- which ----------------------------------------------------------------------------------------------------

    def _admit(self) -> list[Event]:
        events: list[Event] = []
        while self._waiting and self._free and self._used() + len(self._waiting[0].tokens) < self._runtime.cells:
            job = self._waiting.popleft()
            job.sequence = self._free.pop()
            if not job.began:
                job.began = self._clock()
                events.append(Started(id=job.id, prompt_tokens=job.prompt_tokens))
            self._running.append(job)
        return events

    def _used(self) -> int:
        """Cells that the running jobs hold or are about to fill."""
        return sum(len(job.tokens) for job in self._running)

    def _next_group(self) -> AdapterSet:
        """The adapter set after the last one in turn."""
        groups = list(dict.fromkeys(job.adapters for job in self._running))
        if self._last_group in groups:
            groups = [*groups[groups.index(self._last_group) + 1 :], *groups]
        if groups:
            self._last_group = groups[0]
        return self._last_group or ()

    def _gather(self, group: AdapterSet) -> tuple[list[Entry], list[tuple[Job, int]]]:
        """The batch, and for each job that gets its next token the index of the entry it follows."""
        while self._used() > self._runtime.cells:
            self._put_back(self._running[-1])
        jobs = sorted((job for job in self._running if job.adapters == group), key=lambda job: not job.answering)
        entries: list[Entry] = []
        owners: list[tuple[Job, int]] = []
        room = self._runtime.batch
        for job in jobs:
            if not job.answering and entries:
                room = min(room, len(entries) + _PROMPT_SHARE)
            count = min(len(job.tokens) - job.decoded, room - len(entries))
            for position in range(job.decoded, job.decoded + count):
                last = position == len(job.tokens) - 1
                entries.append(Entry(job.tokens[position], position, job.sequence, wanted=last))
            job.decoded += count
            if count and job.decoded == len(job.tokens):
                owners.append((job, len(entries) - 1))
        return entries, owners

    def _put_back(self, job: Job) -> None:
        self._release(job)
        self._waiting.appendleft(job)

    # -- what came of it ------------------------------------------------------------------------------------------

    def _advance(self, job: Job, choice: Choice) -> list[Event]:
        if not job.answered:
            job.answered = self._clock()
        if self._runtime.is_end(choice.token):
            return self._end(job, "stop")
        job.tokens.append(choice.token)
        events: list[Event] = [*job.output.feed(choice, self._runtime.piece(choice.token))]
        if job.output.stopped:
            return events + self._end(job, "stop")
        if job.made >= job.max_tokens or len(job.tokens) >= self._runtime.context:
            return events + self._end(job, "length")
        return events

    def _end(self, job: Job, reason: Literal["stop", "length"]) -> list[Event]:
        tail = job.output.finish()
        self._drop(job)
        finished = Finished(
            id=job.id,
            reason=reason,
            usage=Usage(prompt_tokens=job.prompt_tokens, completion_tokens=job.made),
            prefill_s=job.answered - job.began,
            decode_s=self._clock() - job.answered,
        )
        return [*tail, finished]

    def _drop(self, job: Job) -> None:
        if job in self._running:
            self._release(job)
        else:
            self._waiting.remove(job)
        job.sampler.close()

    def _release(self, job: Job) -> None:
        self._running.remove(job)
        self._runtime.forget(job.sequence)
        self._free.append(job.sequence)
        job.sequence, job.decoded = -1, 0
