"""The effect of the prefix cache on requests, on a runtime that records its batches."""

import pytest

from models.child_process.messages import Finished, Started
from models.worker.engine import BatchSpan, DecodeFailed, NoRoom
from models.worker.engine.engine import State
from models.worker.scheduling.batcher import AdapterSet, Batcher
from tests.models.worker.scheduling.test_batcher import Recorder, ends, job, run, size, text_of

PREFIX = [10 + at % 7 for at in range(100)]


def cached(batcher: Batcher, number: int, prompt: list[int], limit: int = 2, adapters: AdapterSet = ()) -> int:
    """Runs one request to its end and returns its number of cached tokens."""
    batcher.submit(job(number, prompt, limit, adapters))
    return ends(run(batcher))[number].usage.cached_tokens


def test_a_second_request_decodes_only_what_is_new() -> None:
    runtime = Recorder(kept=4)
    batcher = Batcher(runtime)
    assert cached(batcher, 1, [*PREFIX, 50]) == 0
    before = sum(size(spans) for _, spans in runtime.batches)
    assert cached(batcher, 2, [*PREFIX, 60, 61]) == 100
    assert sum(size(spans) for _, spans in runtime.batches) - before == 3  # two of the prompt, one of the answer


def test_the_last_token_of_a_prompt_is_always_decoded_again() -> None:
    batcher = Batcher(Recorder(kept=4))
    assert [cached(batcher, number, PREFIX) for number in range(3)] == [0, 99, 99]


def test_the_next_turn_reuses_the_kv_of_the_answer() -> None:
    batcher = Batcher(Recorder(kept=4))
    cached(batcher, 1, [*PREFIX, 50], limit=5)  # answers 51 to 55; the last is not decoded
    assert cached(batcher, 2, [*PREFIX, *range(50, 56), 90]) == 105


def test_kv_is_not_shared_between_adapters_or_scales() -> None:
    batcher = Batcher(Recorder(kept=8))
    sets: list[AdapterSet] = [(), (("a", 1.0),), (("a", 0.5),), (("b", 1.0),), (("a", 1.0), ("b", 1.0))]
    assert [cached(batcher, number, PREFIX, adapters=adapters) for number, adapters in enumerate(sets)] == [0] * 5
    assert [cached(batcher, number, PREFIX, adapters=adapters) for number, adapters in enumerate(sets)] == [99] * 5


def test_kv_is_never_shared_between_users() -> None:
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


def test_cached_prefixes_are_evicted_when_their_cells_are_needed() -> None:
    runtime = Recorder(kept=4, cells=260, context=250)
    batcher = Batcher(runtime)
    cached(batcher, 1, PREFIX)
    cached(batcher, 2, [200 + token for token in PREFIX])
    assert cached(batcher, 3, [400 + token for token in PREFIX]) == 0  # Recorder checks the number of cells
    assert cached(batcher, 4, [200 + token for token in PREFIX]) == 99
    assert cached(batcher, 5, PREFIX) == 0


def test_kv_evicted_from_the_cells_is_restored_from_saved_kv() -> None:
    runtime = Recorder(kept=1, parallel=1, cells=300, context=250)
    runtime.cache_bytes = 10_000
    batcher = Batcher(runtime)
    for number in range(4):
        assert cached(batcher, number, [number * 100 + token for token in PREFIX]) == 0
    assert 0 < batcher.kv.states.held <= 10_000
    assert cached(batcher, 9, [*PREFIX[:80], 99]) == 80


def test_prefixes_that_the_next_request_cannot_use_are_saved_and_leave_the_cells() -> None:
    runtime = Recorder(kept=8, cells=2000)
    runtime.cache_bytes = 20_000
    batcher = Batcher(runtime)
    prompts = [[80 + number, *PREFIX, *PREFIX, *PREFIX] for number in range(4)]
    assert [cached(batcher, number, prompt) for number, prompt in enumerate(prompts)] == [0] * 4
    assert batcher.kv.cells.total - batcher.kv.cells.free < 3 * 301
    assert [cached(batcher, 9 + number, prompt) for number, prompt in enumerate(prompts)] == [300] * 4


def test_prefixes_stay_in_the_cells_without_room_to_save_them() -> None:
    runtime = Recorder(kept=8, cells=2000)
    runtime.cache_bytes = 0
    batcher = Batcher(runtime)
    prompts = [[80 + number, *PREFIX, *PREFIX, *PREFIX] for number in range(4)]
    for number, prompt in enumerate(prompts):
        cached(batcher, number, prompt)
    assert batcher.kv.cells.total - batcher.kv.cells.free >= 4 * 301
    assert [cached(batcher, 9 + number, prompt) for number, prompt in enumerate(prompts)] == [300] * 4


def test_kv_that_is_already_saved_is_not_saved_again() -> None:
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


def test_after_a_failed_restore_the_prompt_is_decoded() -> None:
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


def test_the_common_beginning_of_two_new_prompts_is_decoded_once() -> None:
    runtime = Recorder(batch=32, kept=4)
    batcher = Batcher(runtime)
    batcher.submit(job(1, [*PREFIX, 50], 3))
    batcher.step()
    batcher.submit(job(2, [*PREFIX, 60], 3))
    batcher.submit(job(3, [*PREFIX[:70], 70], 3))
    events = run(batcher)
    known = [ends(events)[number].usage.cached_tokens for number in (1, 2, 3)]
    assert known[0] == 0
    assert (known[1] > 100 - 16, known[2] > 70 - 16) == (True, True)  # decoding a few is faster than waiting
    assert (text_of(events, 1), text_of(events, 2), text_of(events, 3)) == ("51 52 53 ", "61 62 63 ", "71 72 73 ")
    assert runtime.decoded == 101 + (101 - known[1]) + (71 - known[2]) + 3 * 2


def test_a_shared_prefix_takes_its_cells_once_so_more_requests_fit() -> None:
    runtime = Recorder(cells=200, context=190)
    batcher = Batcher(runtime)
    for number in range(4):
        batcher.submit(job(number, [*PREFIX, 20 * number + 100], 5))
    batcher.step()
    assert batcher.running == 4
    assert len(ends(run(batcher))) == 4


def test_cancelling_a_request_whose_prefix_others_wait_for_harms_none_of_them() -> None:
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


def test_tokens_decoded_before_a_restart_do_not_count_as_cached() -> None:
    runtime = Recorder(cells=100, context=100)
    batcher = Batcher(runtime)
    batcher.submit(job(1, [10] * 40, 50))
    batcher.submit(job(2, [200] * 40, 50))
    events = run(batcher)
    assert ends(events)[2].usage.cached_tokens == 0


def test_a_cached_prompt_does_not_wait_for_all_of_a_long_one() -> None:
    batcher = Batcher(Recorder(batch=32, kept=4, cells=4096, context=2000))
    cached(batcher, 1, PREFIX)
    batcher.submit(job(2, [300] * 1500, 2))
    batcher.submit(job(3, [*PREFIX, 80], 2))
    ended = [event.id for event in run(batcher) if isinstance(event, Finished)]
    assert ended == [3, 2]


def test_answers_of_another_adapter_are_not_delayed_by_full_batches_of_a_prompt() -> None:
    runtime = Recorder()
    batcher = Batcher(runtime)
    batcher.submit(job(1, [10], 30, (("a", 1.0),)))
    batcher.step()
    batcher.submit(job(2, [20] * 600, 2))
    run(batcher)
    assert max(size(spans) for _, spans in runtime.batches[:12]) == 64


class Cramped(Recorder):
    """A runtime that has fewer cells than it reports."""

    room = 150

    def decode(self, spans: list[BatchSpan]) -> None:  # type: ignore[override]
        if self.taken + size(spans) > self.room:
            raise NoRoom("no cells")
        super().decode(spans)


def test_when_llama_cpp_finds_no_cells_prefixes_are_evicted_and_then_the_youngest_waits() -> None:
    runtime = Cramped(kept=4, cells=1000)
    batcher = Batcher(runtime)
    cached(batcher, 1, [500 + token for token in PREFIX])
    batcher.submit(job(2, PREFIX, 3))
    batcher.submit(job(3, [200 + token for token in PREFIX], 3))
    events = run(batcher)
    assert set(ends(events)) == {2, 3}
    assert len([event for event in events if isinstance(event, Started)]) == 2


def test_a_single_request_without_enough_cells_is_a_failure() -> None:
    batcher = Batcher(Cramped(cells=1000))
    batcher.submit(job(1, [10] * 200, 3))
    with pytest.raises(DecodeFailed):
        run(batcher)
