"""The prefix cache as the requests see it, on a runtime that records what it is asked to decode."""

import pytest

from models.child_process.messages import Finished, Started
from models.worker.engine import BatchSpan, DecodeFailed, NoRoom
from models.worker.engine.engine import State
from models.worker.scheduling.batcher import AdapterSet, Batcher
from tests.models.worker.scheduling.test_batcher import Recorder, ends, job, run, size, text_of

PREFIX = [10 + at % 7 for at in range(100)]


def cached(batcher: Batcher, number: int, prompt: list[int], limit: int = 2, adapters: AdapterSet = ()) -> int:
    """Run one request to its end; how many of its tokens were cached."""
    batcher.submit(job(number, prompt, limit, adapters))
    return ends(run(batcher))[number].usage.cached_tokens


def test_a_second_request_decodes_only_what_is_new() -> None:
    runtime = Recorder(kept=4)
    batcher = Batcher(runtime)
    assert cached(batcher, 1, [*PREFIX, 50]) == 0
    before = sum(size(spans) for _, spans in runtime.batches)
    assert cached(batcher, 2, [*PREFIX, 60, 61]) == 100
    assert sum(size(spans) for _, spans in runtime.batches) - before == 3  # two of the prompt, one of the answer


def test_the_last_token_of_a_prompt_is_always_decoded_anew() -> None:
    batcher = Batcher(Recorder(kept=4))
    assert [cached(batcher, number, PREFIX) for number in range(3)] == [0, 99, 99]


def test_an_answer_is_part_of_the_next_turn() -> None:
    batcher = Batcher(Recorder(kept=4))
    cached(batcher, 1, [*PREFIX, 50], limit=5)  # says 51 to 55, the last of which is not decoded
    assert cached(batcher, 2, [*PREFIX, *range(50, 56), 90]) == 105


def test_neither_another_adapter_nor_another_scale_finds_the_kv() -> None:
    batcher = Batcher(Recorder(kept=8))
    sets: list[AdapterSet] = [(), (("a", 1.0),), (("a", 0.5),), (("b", 1.0),), (("a", 1.0), ("b", 1.0))]
    assert [cached(batcher, number, PREFIX, adapters=adapters) for number, adapters in enumerate(sets)] == [0] * 5
    assert [cached(batcher, number, PREFIX, adapters=adapters) for number, adapters in enumerate(sets)] == [99] * 5


def test_nobody_finds_another_user_s_kv_in_the_cells_outside_them_or_while_it_is_made() -> None:
    runtime = Recorder(kept=4)
    runtime.cache_bytes = 10_000
    batcher = Batcher(runtime)
    counts = []
    for number, scope in enumerate(["ann", "ben", "ann", "ben"]):
        batcher.submit(job(number, PREFIX, 2, scope=scope))
        counts.append(ends(run(batcher))[number].usage.cached_tokens)
    assert counts == [0, 0, 99, 99]
    batcher.kv.clear()
    for number, scope in enumerate(["cid", "dan"]):
        batcher.submit(job(number, PREFIX, 2, scope=scope))
    assert {number: end.usage.cached_tokens for number, end in ends(run(batcher)).items()} == {0: 0, 1: 0}
    batcher.submit(job(9, PREFIX, 2, scope="eve"))
    assert ends(run(batcher))[9].usage.cached_tokens == 0


def test_cached_prefixes_leave_when_their_cells_are_needed() -> None:
    runtime = Recorder(kept=4, cells=260, context=250)
    batcher = Batcher(runtime)
    cached(batcher, 1, PREFIX)
    cached(batcher, 2, [200 + token for token in PREFIX])
    assert cached(batcher, 3, [400 + token for token in PREFIX]) == 0  # Recorder counts the cells
    assert cached(batcher, 4, [200 + token for token in PREFIX]) == 99
    assert cached(batcher, 5, PREFIX) == 0


def test_what_leaves_the_cells_comes_back_from_outside_them() -> None:
    runtime = Recorder(kept=1, parallel=1, cells=300, context=250)
    runtime.cache_bytes = 10_000
    batcher = Batcher(runtime)
    for number in range(4):
        assert cached(batcher, number, [number * 100 + token for token in PREFIX]) == 0
    assert 0 < batcher.kv.states.held <= 10_000
    assert cached(batcher, 9, [*PREFIX[:80], 99]) == 80


def test_prefixes_of_no_use_to_the_next_request_leave_the_cells_where_there_is_room_for_them_outside() -> None:
    runtime = Recorder(kept=8, cells=2000)
    runtime.cache_bytes = 20_000
    batcher = Batcher(runtime)
    prompts = [[80 + number, *PREFIX, *PREFIX, *PREFIX] for number in range(4)]
    assert [cached(batcher, number, prompt) for number, prompt in enumerate(prompts)] == [0] * 4
    assert batcher.kv.cells.total - batcher.kv.cells.free < 3 * 301
    assert [cached(batcher, 9 + number, prompt) for number, prompt in enumerate(prompts)] == [300] * 4


def test_prefixes_stay_in_the_cells_where_there_is_no_room_for_them_outside() -> None:
    runtime = Recorder(kept=8, cells=2000)
    runtime.cache_bytes = 0
    batcher = Batcher(runtime)
    prompts = [[80 + number, *PREFIX, *PREFIX, *PREFIX] for number in range(4)]
    for number, prompt in enumerate(prompts):
        cached(batcher, number, prompt)
    assert batcher.kv.cells.total - batcher.kv.cells.free >= 4 * 301
    assert [cached(batcher, 9 + number, prompt) for number, prompt in enumerate(prompts)] == [300] * 4


def test_what_is_saved_already_is_not_saved_again() -> None:
    class Saving(Recorder):
        saved = 0

        def save(self, sequence: int) -> State:
            self.saved += 1
            return super().save(sequence)

    runtime = Saving(kept=0, parallel=1)
    runtime.cache_bytes = 10_000
    batcher = Batcher(runtime)
    for number in range(6):
        cached(batcher, number, [number % 2 * 100 + token for token in PREFIX], limit=1)
    assert runtime.saved == 2


def test_a_restore_that_fails_costs_only_time() -> None:
    class Broken(Recorder):
        def restore(self, sequence: int, state: object) -> bool:
            self.held[sequence] = [(1, -1)]
            return False

    runtime = Broken(kept=0, parallel=1)
    runtime.cache_bytes = 10_000
    batcher = Batcher(runtime)
    cached(batcher, 1, PREFIX)
    cached(batcher, 2, [100 + token for token in PREFIX])
    assert cached(batcher, 3, [*PREFIX, 90]) == 0


def test_a_prompt_that_begins_like_one_being_read_is_not_read_twice() -> None:
    runtime = Recorder(batch=32, kept=4)
    batcher = Batcher(runtime)
    batcher.submit(job(1, [*PREFIX, 50], 3))
    batcher.step()
    batcher.submit(job(2, [*PREFIX, 60], 3))
    batcher.submit(job(3, [*PREFIX[:70], 70], 3))
    events = run(batcher)
    known = [ends(events)[number].usage.cached_tokens for number in (1, 2, 3)]
    assert known[0] == 0
    assert (known[1] > 100 - 16, known[2] > 70 - 16) == (True, True)  # a few are read faster than waited for
    assert (text_of(events, 1), text_of(events, 2), text_of(events, 3)) == ("51 52 53 ", "61 62 63 ", "71 72 73 ")
    assert runtime.decoded == 101 + (101 - known[1]) + (71 - known[2]) + 3 * 2


def test_a_shared_prefix_takes_its_cells_once_so_that_more_requests_fit() -> None:
    runtime = Recorder(cells=200, context=190)
    batcher = Batcher(runtime)
    for number in range(4):
        batcher.submit(job(number, [*PREFIX, 20 * number + 100], 5))
    batcher.step()
    assert batcher.running == 4
    assert len(ends(run(batcher))) == 4


def test_a_request_cancelled_while_others_wait_for_its_prefix_harms_nobody() -> None:
    runtime = Recorder(batch=32)
    batcher = Batcher(runtime)
    batcher.submit(job(1, [*PREFIX, 50], 3))
    batcher.step()
    for number in (2, 3):
        batcher.submit(job(number, [*PREFIX, 60], 3))
    batcher.step()
    batcher.cancel(1)
    events = run(batcher)
    assert set(ends(events)) == {2, 3}
    assert text_of(events, 2) == text_of(events, 3) == "61 62 63 "
    assert ends(events)[2].usage.cached_tokens == 64
    assert ends(events)[3].usage.cached_tokens > 100 - 16


def test_a_request_put_back_tells_only_the_tokens_that_it_never_decoded() -> None:
    runtime = Recorder(cells=100, context=100)
    batcher = Batcher(runtime)
    batcher.submit(job(1, [10] * 40, 50))
    batcher.submit(job(2, [200] * 40, 50))
    events = run(batcher)
    assert ends(events)[2].usage.cached_tokens == 0


def test_a_cached_prompt_need_not_wait_for_the_whole_of_a_long_one() -> None:
    batcher = Batcher(Recorder(batch=32, kept=4, cells=4096, context=2000))
    cached(batcher, 1, PREFIX)
    batcher.submit(job(2, [300] * 1500, 2))
    batcher.submit(job(3, [*PREFIX, 80], 2))
    ended = [event.id for event in run(batcher) if isinstance(event, Finished)]
    assert ended == [3, 2]


def test_answers_of_another_adapter_are_not_held_up_by_full_batches_of_a_prompt() -> None:
    runtime = Recorder()
    batcher = Batcher(runtime)
    batcher.submit(job(1, [10], 30, (("a", 1.0),)))
    batcher.step()
    batcher.submit(job(2, [20] * 600, 2))
    run(batcher)
    assert max(size(spans) for _, spans in runtime.batches[:12]) == 64


class Cramped(Recorder):
    """A runtime that has fewer cells than it says."""

    room = 150

    def decode(self, spans: list[BatchSpan]) -> None:  # type: ignore[override]
        if self.taken + size(spans) > self.room:
            raise NoRoom("no cells")
        super().decode(spans)


def test_when_llama_cpp_finds_no_cells_cached_prefixes_go_and_then_the_youngest_waits() -> None:
    runtime = Cramped(kept=4, cells=1000)
    batcher = Batcher(runtime)
    cached(batcher, 1, [500 + token for token in PREFIX])
    batcher.submit(job(2, PREFIX, 3))
    batcher.submit(job(3, [200 + token for token in PREFIX], 3))
    events = run(batcher)
    assert set(ends(events)) == {2, 3}
    assert len([event for event in events if isinstance(event, Started)]) == 2


def test_one_request_that_finds_no_cells_at_all_is_a_failure() -> None:
    batcher = Batcher(Cramped(cells=1000))
    batcher.submit(job(1, [10] * 200, 3))
    with pytest.raises(DecodeFailed):
        run(batcher)
