"""Random operations over more models than fit: the budget holds, nothing hangs, nothing leaks. The long form is
`python -m benchmarks.soak`."""

from pathlib import Path

from benchmarks.soak import make_models, soak


async def test_nothing_goes_wrong_in_sixty_random_operations(tmp_path: Path) -> None:
    make_models(tmp_path)
    outcome = await soak(tmp_path, operations=60, seed=7)
    assert outcome.faults == []
    assert outcome.outcomes["ask: done"] > 10
    assert outcome.decisions["evicted"] > 0
    assert outcome.most_reserved > outcome.budget / 2
