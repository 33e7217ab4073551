"""Models whose memory cannot be cut or shared at an arbitrary position: KV is reused only where that is right."""

from collections.abc import Callable
from pathlib import Path

import pytest

from benchmarks.interleavings import SETTINGS, Alone, Eager, Request, check, job_of
from models.child_process.messages import Finished, path_text
from models.worker.engine import BatchSpan, Engine
from models.worker.scheduling.batcher import Batcher
from tests.models.worker.engine.odd_models import WINDOW, write_recurrent, write_windowed

WRITERS = {"windowed": write_windowed, "recurrent": write_recurrent}
PROMPT = (1, *range(20, 20 + 4 * WINDOW))


@pytest.fixture(scope="module", params=WRITERS.values(), ids=WRITERS.keys())
def folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    writer: Callable[[Path], Path] = request.param
    folder = tmp_path_factory.mktemp("odd")
    writer(folder / "m.gguf")
    return folder


def test_requests_that_run_together_answer_as_each_does_alone(folder: Path) -> None:
    tally = check(folder, 1, adapters=((),))
    assert (tally.wrong, tally.mean_running > 2) == ([], True)


def test_the_next_turn_continues_from_the_last_and_another_question_starts_afresh(folder: Path) -> None:
    engine = Engine(path_text(folder / "m.gguf"), SETTINGS)
    assert engine.rigid
    batcher, alone = Batcher(engine, costs=Eager()), Alone(folder, SETTINGS)
    tokens, cached = PROMPT, []
    for turn in (PROMPT, None, (*PROMPT[:40], 7, 8, 9)):
        tokens = turn or (*tokens, 30, 31, 32)
        job = job_of(len(cached), Request(tokens, (), 20), engine)
        batcher.submit(job)
        ends = [event for _ in iter(lambda: batcher.busy, False) for event in batcher.step()]
        cached += [event.usage.cached_tokens for event in ends if isinstance(event, Finished)]
        answer = job.tokens[job.prompt_tokens :]
        assert answer == alone.answer(Request(tokens, (), 20))[0]
        tokens = tuple(job.tokens)
    assert cached[0] == cached[2] == 0
    assert cached[1] >= len(PROMPT)


def test_a_recurrent_memory_cannot_be_cut_and_reports_that(tmp_path: Path) -> None:
    engine = Engine(path_text(write_recurrent(tmp_path / "m.gguf")), SETTINGS)
    engine.decode([BatchSpan(PROMPT[:20], 0, 0, wanted=1)])
    assert not engine.cut(0, 10)
    assert not engine.revocable
    engine.forget(0)
    engine.decode([BatchSpan(PROMPT[:20], 0, 0, wanted=1)])
