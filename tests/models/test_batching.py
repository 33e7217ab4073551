"""Continuous batching on a runtime that records what it is asked to decode."""

from collections.abc import Sequence
from typing import cast

from models.batching import AdapterSet, Batcher, Job
from models.engine import Entry, Sampler
from models.output import Choice, Output
from models.protocol import Event, Finished, Started, Text

END = 0


class Recorder:
    """A runtime whose next token is always one more than the last; tokens over 900 end the answer."""

    def __init__(self, *, cells: int = 4096, context: int = 1024, batch: int = 512, parallel: int = 4) -> None:
        self.cells, self.context, self.batch, self.parallel = cells, context, batch, parallel
        self.batches: list[tuple[AdapterSet, list[Entry]]] = []
        self.held: dict[int, list[int]] = {}
        self.applied: AdapterSet = ()

    def decode(self, entries: Sequence[Entry]) -> None:
        assert len(entries) <= self.batch
        for entry in entries:
            tokens = self.held.setdefault(entry.sequence, [])
            assert entry.position == len(tokens), "positions follow each other within a sequence"
            tokens.append(entry.token)
        assert sum(map(len, self.held.values())) <= self.cells
        self.batches.append((self.applied, list(entries)))

    def sample(self, sampler: Sampler, index: int) -> Choice:
        entry = self.batches[-1][1][index]
        assert entry.wanted
        return Choice(END if entry.token > 900 else entry.token + 1)

    def piece(self, token: int) -> bytes:
        return f"{token} ".encode()

    def is_end(self, token: int) -> bool:
        return token == END

    def forget(self, sequence: int) -> None:
        self.held.pop(sequence, None)

    def use_adapters(self, adapters: AdapterSet) -> None:
        self.applied = adapters


class NoSampler:
    def __init__(self) -> None:
        self.closed = False

    def close(self) -> None:
        self.closed = True


def job(number: int, prompt: Sequence[int], limit: int = 5, adapters: AdapterSet = (), stop: str = "") -> Job:
    output = Output(number, (stop,) if stop else ())
    return Job(number, list(prompt), limit, cast(Sampler, NoSampler()), output, adapters)


def run(batcher: Batcher) -> list[Event]:
    events = []
    while batcher.busy:
        events += batcher.step()
    return events


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
    assert runtime.held == {}
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


def test_answers_go_on_in_one_batch_while_a_long_prompt_is_read_in_pieces() -> None:
    runtime = Recorder()
    batcher = Batcher(runtime)
    batcher.submit(job(1, [10], 30))
    batcher.step()
    batcher.submit(job(2, [20] * 600, 2))
    events = run(batcher)
    sizes = [len(entries) for _, entries in runtime.batches]
    assert max(sizes) == 65  # one answering token and a piece of the prompt
    both = [entries for _, entries in runtime.batches if {entry.sequence for entry in entries} == {0, 1}]
    assert len(both) >= 5
    assert text_of(events, 2) == "21 22 "


def test_alone_a_prompt_is_read_in_full_batches() -> None:
    runtime = Recorder()
    batcher = Batcher(runtime)
    batcher.submit(job(1, [20] * 1000, 1))
    run(batcher)
    assert [len(entries) for _, entries in runtime.batches] == [512, 488]


def test_more_requests_than_sequences_wait_their_turn() -> None:
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
    for applied, entries in runtime.batches:
        assert {entry.token // 100 for entry in entries} == {sets.index(applied)}


def test_a_cancelled_request_frees_its_sequence_at_once() -> None:
    runtime = Recorder(parallel=1)
    batcher = Batcher(runtime)
    first, second = job(1, [10], 500), job(2, [20], 2)
    batcher.submit(first)
    batcher.submit(second)
    batcher.step()
    batcher.cancel(1)
    batcher.cancel(99)
    assert runtime.held == {}
    events = run(batcher)
    assert set(ends(events)) == {2}
    assert cast(NoSampler, first.sampler).closed


def test_a_waiting_request_can_be_cancelled() -> None:
    batcher = Batcher(Recorder(parallel=1))
    batcher.submit(job(1, [10], 2))
    batcher.submit(job(2, [20], 2))
    batcher.cancel(2)
    assert set(ends(run(batcher))) == {1}


def test_when_the_cells_run_out_the_youngest_starts_again_later_and_nothing_is_lost() -> None:
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
