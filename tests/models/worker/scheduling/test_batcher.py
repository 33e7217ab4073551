"""Continuous batching, on a runtime that records its batches."""

from collections.abc import Sequence
from typing import cast

import numpy as np

from models.child_process.messages import Event, Finished, Started, Text
from models.worker.engine import BatchSpan, Sampler
from models.worker.engine.engine import State
from models.worker.engine.sampler import Choice
from models.worker.scheduling.batcher import AdapterSet, Batcher, Job
from models.worker.scheduling.output import Output

END = 0


class Recorder:
    """A runtime whose next token is always one more than the last; tokens over 900 end the answer."""

    rigid = False
    revocable = True

    def __init__(
        self, *, cells: int = 4096, context: int = 1024, batch: int = 512, parallel: int = 4, kept: int = 0
    ) -> None:
        self.cells, self.context, self.batch, self.parallel = cells, context, batch, parallel
        self.sequences, self.outputs, self.cache_bytes = parallel + kept, parallel + 16, 0
        self.batches: list[tuple[AdapterSet, list[BatchSpan]]] = []
        self.held: dict[int, list[tuple[int, int]]] = {}  # (token, number of its cell)
        self.applied: AdapterSet = ()
        self.decoded = 0

    def decode(self, spans: Sequence[BatchSpan]) -> None:
        assert sum(len(span.tokens) for span in spans) <= self.batch
        assert sum(span.wanted for span in spans) <= self.outputs
        for span in spans:
            cells = self.held.setdefault(span.sequence, [])
            assert span.position == len(cells), "positions follow each other within a sequence"
            for token in span.tokens:
                cells.append((token, self.decoded))
                self.decoded += 1
        assert self.taken <= self.cells
        self.batches.append((self.applied, list(spans)))

    @property
    def taken(self) -> int:
        return len({cell for cells in self.held.values() for cell in cells})

    def sample(self, sampler: Sampler, index: int) -> Choice:
        entries = [
            (token, at >= len(span.tokens) - span.wanted)
            for span in self.batches[-1][1]
            for at, token in enumerate(span.tokens)
        ]
        token, wanted = entries[index]
        assert wanted
        return Choice(END if token > 900 else token + 1)

    def piece(self, token: int) -> bytes:
        return f"{token} ".encode()

    def is_end(self, token: int) -> bool:
        return token == END

    def share(self, source: int, target: int, start: int, end: int) -> None:
        self.held.setdefault(target, []).extend(self.held[source][start:end])

    def cut(self, sequence: int, length: int) -> bool:
        del self.held[sequence][length:]
        return True

    def forget(self, sequence: int) -> None:
        self.held.pop(sequence, None)

    def save(self, sequence: int) -> State:
        return np.array(self.held[sequence], np.int32).view(np.uint8)

    def restore(self, sequence: int, state: State) -> bool:
        tokens = state.view(np.int32).reshape(-1, 2)[:, 0].tolist()
        self.held[sequence] = [(token, self.decoded + at) for at, token in enumerate(tokens)]
        self.decoded += len(tokens)
        return True

    def use_adapters(self, adapters: AdapterSet) -> None:
        self.applied = adapters


class NoSampler:
    def __init__(self) -> None:
        self.closed = False

    def close(self) -> None:
        self.closed = True


def job(
    number: int, prompt: Sequence[int], limit: int = 5, adapters: AdapterSet = (), stop: str = "", scope: str = ""
) -> Job:
    output = Output(number, (stop,) if stop else ())
    return Job(number, list(prompt), limit, cast(Sampler, NoSampler()), output, adapters, scope=scope)


def run(batcher: Batcher) -> list[Event]:
    events = []
    while batcher.busy:
        events += batcher.step()
    return events


def size(spans: Sequence[BatchSpan]) -> int:
    return sum(len(span.tokens) for span in spans)


def text_of(events: list[Event], number: int) -> str:
    return "".join(event.text for event in events if isinstance(event, Text) and event.id == number)


def ends(events: list[Event]) -> dict[int, Finished]:
    return {event.id: event for event in events if isinstance(event, Finished)}


def test_a_request_starts_answers_and_ends_with_exact_counts() -> None:
    runtime = Recorder()
    batcher = Batcher(runtime)
    one = job(1, [10, 11, 12], 3)
    batcher.submit(one)
    events = run(batcher)
    assert isinstance(events[0], Started)
    assert text_of(events, 1) == "13 14 15 "
    usage = ends(events)[1].usage
    assert (ends(events)[1].reason, usage.prompt_tokens, usage.completion_tokens) == ("length", 3, 3)
    assert cast(NoSampler, one.sampler).closed


def test_the_end_token_is_neither_shown_nor_counted() -> None:
    batcher = Batcher(Recorder())
    batcher.submit(job(1, [899], 50))
    events = run(batcher)
    assert text_of(events, 1) == "900 901 "
    assert (ends(events)[1].reason, ends(events)[1].usage.completion_tokens) == ("stop", 2)


def test_a_stop_string_ends_the_answer() -> None:
    batcher = Batcher(Recorder())
    batcher.submit(job(1, [10], 50, stop="2 13"))
    events = run(batcher)
    assert (text_of(events, 1), ends(events)[1].reason) == ("11 1", "stop")


def test_answers_continue_while_a_long_prompt_is_decoded_in_parts() -> None:
    runtime = Recorder()
    batcher = Batcher(runtime)
    batcher.submit(job(1, [10], 30))
    batcher.step()
    batcher.submit(job(2, [20] * 600, 2))
    events = run(batcher)
    sizes = [size(spans) for _, spans in runtime.batches]
    assert max(sizes) == 65  # one token of the answer and 64 of the prompt
    both = [spans for _, spans in runtime.batches if {span.sequence for span in spans} == {0, 1}]
    assert len(both) >= 5
    assert text_of(events, 2) == "21 22 "


def test_a_prompt_on_its_own_is_decoded_in_full_batches() -> None:
    runtime = Recorder()
    batcher = Batcher(runtime)
    batcher.submit(job(1, [20] * 1000, 1))
    run(batcher)
    assert [size(spans) for _, spans in runtime.batches] == [512, 488]


def test_requests_beyond_the_sequences_wait_their_turn() -> None:
    runtime = Recorder(parallel=2)
    batcher = Batcher(runtime)
    for number in range(5):
        batcher.submit(job(number, [10 * number + 10], 4))
    events = run(batcher)
    assert [event.id for event in events if isinstance(event, Started)] == [0, 1, 2, 3, 4]
    assert set(ends(events)) == {0, 1, 2, 3, 4}


def test_different_adapters_never_share_a_batch_and_take_turns() -> None:
    runtime = Recorder()
    batcher = Batcher(runtime)
    sets: list[AdapterSet] = [(), (("a", 1.0),), (("a", 0.5),)]
    for number, adapters in enumerate(sets):
        batcher.submit(job(number, [100 * number + 10], 4, adapters))
    run(batcher)
    assert [applied for applied, _ in runtime.batches] == sets * 4
    for applied, spans in runtime.batches:
        assert {token // 100 for span in spans for token in span.tokens} == {sets.index(applied)}


def test_a_cancelled_request_frees_its_sequence_at_once() -> None:
    runtime = Recorder(parallel=1)
    batcher = Batcher(runtime)
    first, second = job(1, [10], 500), job(2, [20], 2)
    batcher.submit(first)
    batcher.submit(second)
    batcher.step()
    batcher.cancel(1)
    batcher.cancel(99)
    events = run(batcher)
    assert set(ends(events)) == {2}
    assert len(runtime.batches) == 3
    assert cast(NoSampler, first.sampler).closed


def test_a_waiting_request_can_be_cancelled() -> None:
    batcher = Batcher(Recorder(parallel=1))
    batcher.submit(job(1, [10], 2))
    batcher.submit(job(2, [20], 2))
    batcher.cancel(2)
    assert set(ends(run(batcher))) == {1}


def test_when_the_cells_run_out_the_youngest_is_restarted_later_and_no_token_is_lost() -> None:
    runtime = Recorder(cells=100, context=100)
    batcher = Batcher(runtime)
    batcher.submit(job(1, [10] * 40, 50))
    batcher.submit(job(2, [200] * 40, 50))
    events = run(batcher)
    assert text_of(events, 1) == "".join(f"{token} " for token in range(11, 61))
    assert text_of(events, 2) == "".join(f"{token} " for token in range(201, 251))
    assert ends(events)[2].usage.completion_tokens == 50
    assert len([event for event in events if isinstance(event, Started)]) == 2


def test_an_answer_ends_where_the_context_does() -> None:
    batcher = Batcher(Recorder(cells=64, context=64))
    batcher.submit(job(1, [10] * 60, 500))
    end = ends(run(batcher))[1]
    assert (end.reason, end.usage.completion_tokens) == ("length", 4)
