"""Makes the questions that measure the tiny reader. None of their names, numbers, codes and dates was in its training.

That holds by construction: `World(…, tests=True)` uses only texts that `held_out` keeps out of training.
"""

from dataclasses import dataclass

from tests.assets.reader_world import Example, World

COUNT = 200


@dataclass(frozen=True, slots=True)
class Asked:
    """One question, with the right passage among others, and with an unrelated passage in its place."""

    right: Example
    without: Example


def evaluation(count: int = COUNT, *, passages: int = 1, seed: int = 2037) -> list[Asked]:
    """Makes questions of all kinds, each with `passages` passages."""
    world = World(seed, tests=True)
    return [_asked(world, passages) for _ in range(count)]


def _asked(world: World, passages: int) -> Asked:
    right = world.example(passages)
    other = world.example(1).passages[0]
    kept = tuple(other if number == right.number else one for number, one in enumerate(right.passages, 1))
    return Asked(right, Example(kept, right.fact, 0))
