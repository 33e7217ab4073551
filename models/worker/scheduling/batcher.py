"""Continuous batching: which tokens of which requests are decoded next. Thread-free, driven by `step()`.

Rules: every step decodes one token for each running request, or a draft of several where that pays, and fills up with
pieces of waiting prompts, so that a long prompt delays the others' next token by one step only. Requests with different
adapters never share a batch; the groups take turns. A prompt that begins like one that is just being read waits for it
and shares its KV. All sequences share the cells of the context: when they run out, cached prefixes go first, then the
youngest request is put back to the head of the queue and later continues from its tokens, so the oldest always ends.
"""

import itertools
import time
from collections import deque
from collections.abc import Callable, Hashable, Sequence
from typing import Final, Literal, Protocol

from models.child_process.messages import Event, Finished, Started
from models.types import Usage
from models.worker.engine import BatchToken, DecodeFailed, NoRoom, Sampler
from models.worker.engine.sampler import Choice
from models.worker.scheduling.job import Job
from models.worker.scheduling.output import ungrammatical
from models.worker.scheduling.prefix_index import common
from models.worker.scheduling.sequences import AdapterSet, Maker, Memory, Sequences, exact
from models.worker.scheduling.speculation import Costs

__all__ = ["AdapterSet", "Batcher", "Job", "Runtime"]

_PROMPT_SHARE: Final = 64  # tokens of prompts in a step while others are answering
_WORTH_WAITING: Final = 16  # tokens that another prompt is about to decode; fewer are decoded twice as fast


class Runtime(Memory, Protocol):
    """What of an engine is needed."""

    context: int
    batch: int
    outputs: int
    parallel: int
    cache_bytes: int
    revocable: bool

    def decode(self, pieces: Sequence[BatchToken]) -> None: ...
    def sample(self, sampler: Sampler, index: int) -> Choice: ...
    def piece(self, token: int) -> bytes: ...
    def is_end(self, token: int) -> bool: ...
    def use_adapters(self, adapters: AdapterSet) -> None: ...


class Batcher:
    """Runs jobs on a runtime. `key` tells which KV is the same, see `sequences`."""

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
        self._room = runtime.cells  # that running requests may fill
        self._last_group: AdapterSet | None = None
        self._costs = costs or Costs()
        self.kv = Sequences(runtime, runtime.cache_bytes, key)

    @property
    def busy(self) -> bool:
        return bool(self._waiting or self._running)

    @property
    def running(self) -> int:
        """How many requests have a sequence."""
        return len(self._running)

    @property
    def adapters(self) -> set[str]:
        """The keys of those that some request still needs."""
        return {key for job in [*self._running, *self._waiting] for key, _ in job.adapters}

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
        turns = self._gather(group)
        if not turns:
            return events
        self._runtime.use_adapters(group)
        began = self._clock()
        try:
            self._runtime.decode([piece for _, piece in turns])
        except NoRoom as reason:
            self._make_room(reason)
            return events
        for job, piece in turns:
            self.kv.cells.grow(job.sequence, len(piece.tokens))
            job.decoded += len(piece.tokens) - max(0, piece.wanted - 1)  # what is drafted is not yet right
        index = 0
        for job, piece in turns:
            index += len(piece.tokens)
            if piece.wanted:
                events += self._hear(job, piece, index - piece.wanted)
        if all(piece.wanted == len(piece.tokens) for _, piece in turns):
            self._costs.learn(index, self._clock() - began)
        return events

    # -- who runs -------------------------------------------------------------------------------------------------

    def _admit(self) -> list[Event]:
        events: list[Event] = []
        while self._waiting and len(self._running) < self._runtime.parallel and self._fits(self._waiting[0]):
            job = self._waiting.popleft()
            job.leader, job.ahead = self._leader_of(job)
            job.sequence, job.decoded = self.kv.open(job.known, job.maker, job.ahead)
            job.reused = job.decoded
            if not job.began:
                job.began = self._clock()
                events.append(Started(id=job.id, prompt_tokens=job.prompt_tokens, dropped=job.dropped))
            self._running.append(job)
        return events

    def _fits(self, job: Job) -> bool:
        """Whether the running jobs leave as many cells as it needs, those not counted that it would share."""
        if not self._running:
            self._room = self._runtime.cells
            return True
        if self._most() + len(job.tokens) < self._room:
            return True
        match = self.kv.cached(job.known, job.maker)
        leader, ahead = self._leader_of(job)
        shared = max(match.length if match else 0, ahead if leader else 0)
        return self.kv.demand(match) + self._pending() + len(job.tokens) - shared < self._room

    def _most(self) -> int:
        """More cells than these the running jobs cannot hold or be about to fill."""
        return sum(len(job.tokens) for job in self._running)

    def _pending(self) -> int:
        """Cells that the running jobs are about to fill."""
        return sum(len(job.tokens) - max(job.decoded, job.ahead) for job in self._running)

    def _leader_of(self, job: Job) -> tuple[Job | None, int]:
        """The job, running before this one, that begins most like it, and how many tokens both begin with."""
        if self._runtime.rigid:
            return None, 0
        key = self.kv.key(job.maker)
        before = itertools.takewhile(lambda other: other is not job, self._running)
        alike = [other for other in before if self.kv.key(other.maker) == key]
        shared = [(common(other.known, job.known[:-1]), other) for other in alike]
        length, leader = max(shared, key=lambda pair: pair[0], default=(0, None))
        return (leader, length) if length else (None, 0)

    def _next_group(self) -> AdapterSet:
        """The adapter set after the last one in turn."""
        groups = list(dict.fromkeys(job.adapters for job in self._running))
        if self._last_group in groups:
            groups = [*groups[groups.index(self._last_group) + 1 :], *groups]
        if groups:
            self._last_group = groups[0]
        return self._last_group or ()

    # -- what is decoded ------------------------------------------------------------------------------------------

    def _gather(self, group: AdapterSet) -> list[tuple[Job, BatchToken]]:
        """The batch: each job's piece of it."""
        while len(self._running) > 1 and self._most() > self._room:
            if self.kv.demand() + self._pending() <= self._room:
                break
            self._put_back(self._running[-1])
        jobs = [job for job in self._running if job.adapters == group]
        answering = [job for job in jobs if job.answering]
        reading = [job for job in jobs if not job.answering]
        turns = [(job, job.next_piece(1)) for job in answering]
        if reading:
            turns += self._prompts(reading, len(turns))
        else:
            drafted = self._with_drafts(answering)
            if drafted and self.kv.reserve(_size(drafted)):
                return drafted
        self.kv.reserve(_size(turns))
        return turns

    def _prompts(self, reading: Sequence[Job], taken: int) -> list[tuple[Job, BatchToken]]:
        """As much of the prompts as fits beside the tokens already taken: at least half of it of the oldest, the rest
        of the shortest, so that a long prompt does not hold up one that is all but cached.
        """
        room = self._runtime.batch - taken
        if any(job.answering for job in self._running):
            room = min(room, _PROMPT_SHARE)
        ready = [job for job in reading if not self._catch_up(job)]
        if not ready or room <= 0:
            return []
        oldest, *others = ready
        left = room - min(oldest.left, (room + 1) // 2)
        turns = []
        for job in sorted(others, key=lambda job: job.left):
            if left > 0:
                turns.append((job, job.next_piece(left)))
                left -= len(turns[-1][1].tokens)
        return [(oldest, oldest.next_piece(room - _size(turns))), *turns]

    def _catch_up(self, job: Job) -> bool:
        """Take over what the leader has decoded by now; whether it is worth waiting for more of it."""
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

    def _with_drafts(self, answering: Sequence[Job]) -> list[tuple[Job, BatchToken]]:
        """One piece for each job, some of them with a draft; none if no draft pays."""
        if not self._runtime.revocable:
            return []
        size = sure = len(answering)
        room = min(self._runtime.outputs, self._runtime.batch) - size
        expected = 0.0
        pieces: dict[int, BatchToken] = {}
        for job in sorted(answering, key=lambda job: -job.guess(room)):
            draft = job.draft.tokens[:room] if job.draft else ()
            more = job.expected(len(draft))
            if more and self._costs.pays(size, sure + expected, len(draft), more):
                pieces[job.id] = job.next_piece(1, draft)
                size, room, expected = size + len(draft), room - len(draft), expected + more
        return [(job, pieces.get(job.id) or job.next_piece(1)) for job in answering] if pieces else []

    def _make_room(self, reason: NoRoom) -> None:
        """llama.cpp has fewer cells than it said: do with less until all that runs has ended."""
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

    # -- what came of it ------------------------------------------------------------------------------------------

    def _hear(self, job: Job, piece: BatchToken, index: int) -> list[Event]:
        """The tokens that follow the wanted entries, the first at `index`; a draft goes on as long as it is right."""
        draft = piece.tokens[len(piece.tokens) - piece.wanted + 1 :]
        job.drafted += len(draft)
        events: list[Event] = []
        for at in range(piece.wanted):
            choice = self._runtime.sample(job.sampler, index + at)
            right = at < len(draft) and choice.token == draft[at]
            job.accepted += right
            job.decoded += right
            ended, said = self._advance(job, choice)
            events += said
            if ended:
                return events
            if not right:
                break
        if not self.kv.cut(job.sequence, job.decoded):
            self._runtime.revocable, job.decoded = False, 0
        return events

    def _advance(self, job: Job, choice: Choice) -> tuple[bool, list[Event]]:
        """Whether the answer ends with this token, and what is to be told."""
        if not job.answered:
            job.answered = self._clock()
        if choice.refused:
            self._drop(job)
            return True, [ungrammatical(job.id, choice.refused)]
        if self._runtime.is_end(choice.token):
            return True, self._end(job, "stop")
        job.say(choice.token)
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
        """Keep its KV as a cached prefix; those that waited for it take over what it has."""
        followers = [other for other in self._running if other.leader is job]
        for follower in followers:
            self._catch_up(follower)
        self._running.remove(job)
        for follower in followers:
            follower.leader, follower.ahead = self._leader_of(follower)
        self.kv.close(job.sequence, job.tokens[: job.decoded], job.maker)
        job.sequence, job.decoded = -1, 0


def _size(turns: Sequence[tuple[Job, BatchToken]]) -> int:
    return sum(len(piece.tokens) for _, piece in turns)
