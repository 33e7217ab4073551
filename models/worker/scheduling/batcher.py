"""Continuous batching: decides which tokens of which requests are decoded next. No threads; driven by `step()`.

Rules: every step decodes one token for each running request, or a draft of several where that pays, and fills the batch
with parts of prompts; so a long prompt delays the others' next token by one step only. Requests with different adapters
never share a batch; the groups take turns. A prompt that begins like one being decoded waits for it and shares its KV.
All sequences share the cells of the context. When they run out, cached prefixes are evicted first; then the youngest
request returns to the head of the queue and later continues from its tokens. So the oldest always finishes.
"""

import itertools
import time
from collections import deque
from collections.abc import Callable, Hashable, Sequence
from typing import Final, Literal, Protocol

from models.child_process.messages import Event, Finished, Started
from models.types import Usage
from models.worker.engine import BatchSpan, DecodeFailed, NoRoom, Sampler
from models.worker.engine.sampler import Choice
from models.worker.scheduling.job import Job
from models.worker.scheduling.output import grammar_refusal
from models.worker.scheduling.prefix_index import common
from models.worker.scheduling.sequences import AdapterSet, Maker, Memory, Sequences, exact
from models.worker.scheduling.speculation import Costs

__all__ = ["AdapterSet", "Batcher", "Job", "Runtime"]

_PROMPT_SHARE: Final = 64  # prompt tokens in a step while others answer; docs/decisions.md, "Batch 128"
_WORTH_WAITING: Final = 16  # tokens that another prompt is about to decode; decoding fewer twice costs no more


class Runtime(Memory, Protocol):
    """The part of an engine used here."""

    context: int
    batch: int
    outputs: int
    parallel: int
    cache_bytes: int
    revocable: bool

    def decode(self, spans: Sequence[BatchSpan]) -> None: ...
    def sample(self, sampler: Sampler, index: int) -> Choice: ...
    def piece(self, token: int) -> bytes: ...
    def is_end(self, token: int) -> bool: ...
    def use_adapters(self, adapters: AdapterSet) -> None: ...


class Batcher:
    """Runs jobs on a runtime. `key` decides which KV can be shared, see `sequences`."""

    def __init__(
        self,
        runtime: Runtime,
        clock: Callable[[], float] = time.monotonic,
        key: Callable[[Maker], Hashable] = exact,
        costs: Costs | None = None,
    ) -> None:
        self._runtime = runtime
        self._clock = clock
        self._waiting: deque[Job] = deque()
        self._running: list[Job] = []  # oldest first
        self._room = runtime.cells  # cells that running requests may fill
        self._last_group: AdapterSet | None = None
        self._costs = costs or Costs()
        self.kv = Sequences(runtime, runtime.cache_bytes, key)

    @property
    def busy(self) -> bool:
        return bool(self._waiting or self._running)

    @property
    def running(self) -> int:
        """The number of requests that have a sequence."""
        return len(self._running)

    @property
    def adapters(self) -> set[str]:
        """The keys of the adapters that waiting and running requests need."""
        return {key for job in [*self._running, *self._waiting] for key, _ in job.adapters}

    def submit(self, job: Job) -> None:
        """Queues a job. Its prompt must be shorter than the runtime's context."""
        self._waiting.append(job)

    def cancel(self, job_id: int) -> None:
        """Removes the job, waiting or running, if it is there. No further event has its id."""
        for job in [*self._running, *self._waiting]:
            if job.id == job_id:
                self._drop(job)

    def step(self) -> list[Event]:
        """Decodes one batch and returns the events that result. Raises DecodeFailed."""
        events = self._admit()
        group = self._next_group()
        batch = self._next_batch(group)
        if not batch:
            return events
        self._runtime.use_adapters(group)
        began = self._clock()
        try:
            self._runtime.decode([span for _, span in batch])
        except NoRoom as reason:
            self._make_room(reason)
            return events
        for job, span in batch:
            self.kv.cells.grow(job.sequence, len(span.tokens))
            job.decoded += len(span.tokens) - max(0, span.wanted - 1)  # drafted tokens are not accepted yet
        index = 0
        for job, span in batch:
            index += len(span.tokens)
            if span.wanted:
                events += self._sample(job, span, index - span.wanted)
        if all(span.wanted == len(span.tokens) for _, span in batch):
            self._costs.learn(index, self._clock() - began)
        return events

    # -- admission ------------------------------------------------------------------------------------------------

    def _admit(self) -> list[Event]:
        events: list[Event] = []
        while self._waiting and len(self._running) < self._runtime.parallel and self._fits(self._waiting[0]):
            job = self._waiting.popleft()
            job.leader, job.ahead = self._leader_of(job)
            job.sequence, job.decoded = self.kv.open(job.token_array, job.maker, job.ahead)
            job.reused = job.decoded
            if not job.began:
                job.began = self._clock()
                events.append(Started(id=job.id, prompt_tokens=job.prompt_tokens, dropped=job.dropped))
            self._running.append(job)
        return events

    def _fits(self, job: Job) -> bool:
        """Whether the running jobs leave enough cells, not counting those that the job would share."""
        if not self._running:
            self._room = self._runtime.cells
            return True
        if self._cells_at_most() + len(job.tokens) < self._room:
            return True
        match = self.kv.cached(job.token_array, job.maker)
        leader, ahead = self._leader_of(job)
        shared = max(match.length if match else 0, ahead if leader else 0)
        return self.kv.demand(match) + self._pending() + len(job.tokens) - shared < self._room

    def _cells_at_most(self) -> int:
        """An upper bound of the cells that the running jobs hold or are about to fill. Quick."""
        return sum(len(job.tokens) for job in self._running)

    def _pending(self) -> int:
        """The number of cells that the running jobs are about to fill."""
        return sum(len(job.tokens) - max(job.decoded, job.ahead) for job in self._running)

    def _leader_of(self, job: Job) -> tuple[Job | None, int]:
        """Returns the earlier running job with the longest common beginning, and its length in tokens."""
        if self._runtime.rigid:
            return None, 0
        key = self.kv.key(job.maker)
        before = itertools.takewhile(lambda other: other is not job, self._running)
        alike = [other for other in before if self.kv.key(other.maker) == key]
        shared = [(common(other.token_array, job.token_array[:-1]), other) for other in alike]
        length, leader = max(shared, key=lambda pair: pair[0], default=(0, None))
        return (leader, length) if length else (None, 0)

    def _next_group(self) -> AdapterSet:
        """Returns the adapter set whose turn it is."""
        groups = list(dict.fromkeys(job.adapters for job in self._running))
        if self._last_group in groups:
            groups = [*groups[groups.index(self._last_group) + 1 :], *groups]
        if groups:
            self._last_group = groups[0]
        return self._last_group or ()

    # -- the batch ------------------------------------------------------------------------------------------------

    def _next_batch(self, group: AdapterSet) -> list[tuple[Job, BatchSpan]]:
        """Returns the spans of the next batch, after putting jobs back until the cells suffice."""
        while len(self._running) > 1 and self._cells_at_most() > self._room:
            if self.kv.demand() + self._pending() <= self._room:
                break
            self._put_back(self._running[-1])
        jobs = [job for job in self._running if job.adapters == group]
        answering = [job for job in jobs if job.answering]
        prefilling = [job for job in jobs if not job.answering]
        batch = [(job, job.next_span(1)) for job in answering]
        if prefilling:
            batch += self._prefill(prefilling, len(batch))
        else:
            drafted = self._with_drafts(answering)
            if drafted and self.kv.reserve(_size(drafted)):
                return drafted
        self.kv.reserve(_size(batch))
        return batch

    def _prefill(self, prefilling: Sequence[Job], taken: int) -> list[tuple[Job, BatchSpan]]:
        """Returns spans of prompts that fit beside `taken` tokens. At least half goes to the oldest prompt, the rest to
        those with the least left, so that a long prompt does not delay one that is nearly all cached.
        """
        room = self._runtime.batch - taken
        if any(job.answering for job in self._running):
            room = min(room, _PROMPT_SHARE)
        ready = [job for job in prefilling if not self._catch_up(job)]
        if not ready or room <= 0:
            return []
        oldest, *others = ready
        left = room - min(oldest.left, (room + 1) // 2)
        batch = []
        for job in sorted(others, key=lambda job: job.left):
            if left > 0:
                batch.append((job, job.next_span(left)))
                left -= len(batch[-1][1].tokens)
        return [(oldest, oldest.next_span(room - _size(batch))), *batch]

    def _catch_up(self, job: Job) -> bool:
        """Shares what the leader has decoded so far. Returns whether to wait for more of it."""
        if not job.leader:
            return False
        end = min(job.leader.decoded, job.ahead)
        if end > job.decoded:
            self.kv.borrow(job.leader.sequence, job.sequence, end)
            job.reused += end - job.decoded
            job.decoded = end
        if job.ahead - job.decoded >= _WORTH_WAITING:
            return True
        job.leader, job.ahead = None, 0
        return False

    def _with_drafts(self, answering: Sequence[Job]) -> list[tuple[Job, BatchSpan]]:
        """Returns a span for each job, some with a draft; nothing if no draft pays."""
        if not self._runtime.revocable:
            return []
        size = sure = len(answering)
        room = min(self._runtime.outputs, self._runtime.batch) - size
        expected = 0.0
        spans: dict[int, BatchSpan] = {}
        for job in sorted(answering, key=lambda job: -job.find_draft(room)):
            draft = job.draft.tokens[:room] if job.draft else ()
            more = job.expected(len(draft))
            if more and self._costs.pays(size, sure + expected, len(draft), more):
                spans[job.id] = job.next_span(1, draft)
                size, room, expected = size + len(draft), room - len(draft), expected + more
        return [(job, spans.get(job.id) or job.next_span(1)) for job in answering] if spans else []

    def _make_room(self, reason: NoRoom) -> None:
        """llama.cpp has fewer cells than it reported: evicts prefixes, or uses fewer until all running jobs have ended."""
        if self.kv.clear():
            return
        if len(self._running) == 1:
            raise DecodeFailed(str(reason)) from reason
        self._room = min(self._room, self.kv.demand())
        self._put_back(self._running[-1])

    def _put_back(self, job: Job) -> None:
        job.pause()
        self._release(job)
        self._waiting.appendleft(job)

    # -- the results ----------------------------------------------------------------------------------------------

    def _sample(self, job: Job, span: BatchSpan, index: int) -> list[Event]:
        """Samples after the wanted entries, the first at `index`, as long as the draft is right."""
        draft = span.tokens[len(span.tokens) - span.wanted + 1 :]
        job.drafted += len(draft)
        events: list[Event] = []
        for at in range(span.wanted):
            choice = self._runtime.sample(job.sampler, index + at)
            right = at < len(draft) and choice.token == draft[at]
            job.accepted += right
            job.decoded += right
            ended, more = self._advance(job, choice)
            events += more
            if ended:
                return events
            if not right:
                break
        if not self.kv.cut(job.sequence, job.decoded):
            self._runtime.revocable, job.decoded = False, 0
        return events

    def _advance(self, job: Job, choice: Choice) -> tuple[bool, list[Event]]:
        """Adds a chosen token. Returns whether the answer ends with it, and the events."""
        if not job.answered:
            job.answered = self._clock()
        if choice.refused:
            self._drop(job)
            return True, [grammar_refusal(job.id, choice.refused)]
        if self._runtime.is_end(choice.token):
            return True, self._end(job, "stop")
        job.append(choice.token)
        events: list[Event] = [*job.output.feed(choice, self._runtime.piece(choice.token))]
        if job.output.stopped:
            return True, events + self._end(job, "stop")
        if job.made >= job.max_tokens or len(job.tokens) >= self._runtime.context:
            return True, events + self._end(job, "length")
        return False, events

    def _end(self, job: Job, reason: Literal["stop", "length"]) -> list[Event]:
        tail = job.output.finish()
        self._drop(job)
        usage = Usage(prompt_tokens=job.prompt_tokens, completion_tokens=job.made, cached_tokens=job.cached)
        finished = Finished(
            id=job.id,
            reason=reason,
            usage=usage,
            prefill_s=job.answered - job.began,
            decode_s=self._clock() - job.answered,
            drafted=job.drafted,
            accepted=job.accepted,
        )
        return [*tail, finished]

    def _drop(self, job: Job) -> None:
        if job in self._running:
            self._release(job)
        else:
            self._waiting.remove(job)
        job.sampler.close()

    def _release(self, job: Job) -> None:
        """Takes the job's sequence and keeps its KV as a cached prefix; jobs that waited for it share what it has."""
        followers = [other for other in self._running if other.leader is job]
        for follower in followers:
            self._catch_up(follower)
        self._running.remove(job)
        for follower in followers:
            follower.leader, follower.ahead = self._leader_of(follower)
        self.kv.close(job.sequence, job.tokens[: job.decoded], job.maker)
        job.sequence, job.decoded = -1, 0


def _size(batch: Sequence[tuple[Job, BatchSpan]]) -> int:
    return sum(len(span.tokens) for _, span in batch)
