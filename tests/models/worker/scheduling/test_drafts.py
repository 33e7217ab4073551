"""Speculative drafts, on a runtime that answers by a script."""

import itertools
from collections.abc import Sequence

from models.worker.engine import Sampler
from models.worker.engine.sampler import Choice
from models.worker.scheduling.batcher import Batcher, Job
from models.worker.scheduling.speculation import Costs
from tests.models.worker.scheduling.test_batcher import Recorder, ends, job, run, size, text_of

QUOTED = [*range(10, 60)]


class Always(Costs):
    """Every draft pays."""

    def pays(self, tokens: int, sure: float, drafted: int, expected: float) -> bool:
        return drafted > 0


class Quoting(Recorder):
    """Answers with the token that follows the last one in `script`."""

    def __init__(self, script: Sequence[int], kept: int = 0) -> None:
        super().__init__(kept=kept)
        self.script = dict(itertools.pairwise(script))

    def sample(self, sampler: Sampler, index: int) -> Choice:
        token = [token for span in self.batches[-1][1] for token in span.tokens][index]
        return Choice(self.script.get(token, token + 1))


def quote(batcher: Batcher, number: int, limit: int, *, speculate: bool = True) -> Job:
    wanted = job(number, [*QUOTED, 5, 6, 10, 11], limit)
    wanted.speculate = speculate
    batcher.submit(wanted)
    return wanted


def test_drafts_of_a_quotation_save_batches_and_change_no_token() -> None:
    texts, batches = [], []
    for speculate in (False, True):
        runtime = Recorder()
        batcher = Batcher(runtime, costs=Always())
        quote(batcher, 1, 40, speculate=speculate)
        events = run(batcher)
        texts.append(text_of(events, 1))
        batches.append(len(runtime.batches))
        assert ends(events)[1].usage.completion_tokens == 40
    assert texts[0] == texts[1]
    assert batches == [40, 3]


def test_drafted_and_accepted_tokens_are_reported() -> None:
    batcher = Batcher(Recorder(), costs=Always())
    quote(batcher, 1, 20)
    end = ends(run(batcher))[1]
    assert (end.drafted, end.accepted) == (18, 18)


def test_a_wrong_draft_is_removed_again() -> None:
    script = [10, 11, 12, 13, 70, 71, 72, 73, 74]
    runtime = Quoting(script, kept=2)
    batcher = Batcher(runtime, costs=Always())
    wanted = quote(batcher, 1, 7)
    end = ends(run(batcher))[1]
    assert wanted.tokens[-7:] == [12, 13, 70, 71, 72, 73, 74]
    assert end.drafted > end.accepted == 1
    assert [token for token, _ in runtime.held[0]] == wanted.tokens[:-1]  # also what is kept as a prefix


def test_drafts_never_exceed_the_limit_of_the_answer() -> None:
    for limit in range(1, 8):
        runtime = Recorder()
        batcher = Batcher(runtime, costs=Always())
        wanted = quote(batcher, 1, limit)
        assert ends(run(batcher))[1].usage.completion_tokens == limit
        assert sum(size(spans) for _, spans in runtime.batches) <= len(wanted.tokens)


def test_several_answers_share_the_outputs_of_a_batch() -> None:
    runtime = Recorder()
    batcher = Batcher(runtime, costs=Always())
    for number in range(4):
        quote(batcher, number, 40)
    events = run(batcher)  # the runtime asserts that no batch asks for more than its outputs
    assert len({text_of(events, number) for number in range(4)}) == 1
    assert sum(end.accepted for end in ends(events).values()) > 60


def test_memory_that_cannot_be_cut_is_decoded_again_and_not_drafted_for_twice() -> None:
    class Stiff(Quoting):
        cuts = 0

        def cut(self, sequence: int, length: int) -> bool:
            self.cuts += 1
            return False

    runtime = Stiff([10, 11, 12, 13, 70, 71, 72, 73, 74, 75, 10, 11, 12])
    batcher = Batcher(runtime, costs=Always())
    wanted = quote(batcher, 1, 12)
    run(batcher)
    assert wanted.tokens[-12:] == [12, 13, 70, 71, 72, 73, 74, 75, 10, 11, 12, 13]
    assert runtime.cuts == 1


def test_without_a_clear_gain_nothing_is_drafted() -> None:
    runtime = Quoting([10, 11, 90, 91, 92])
    batcher = Batcher(runtime)
    quote(batcher, 1, 30)
    assert ends(run(batcher))[1].drafted == 0
