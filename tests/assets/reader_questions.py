"""The questions by which the tiny reader is measured: none of their names, numbers, codes and dates was in its training.

That holds by construction: `World(…, tests=True)` gives only what `held_out` keeps from training.
"""

from dataclasses import dataclass

from tests.assets.reader_world import Example, World

COUNT = 200


@dataclass(frozen=True, slots=True)
class Asked:
    """A question with the right passage among others, and with another in its place."""

    right: Example
    without: Example


def evaluation(count: int = COUNT, *, passages: int = 1, seed: int = 2037) -> list[Asked]:
    """Questions of all kinds, each about so many passages."""
    world = World(seed, tests=True)
    return [_asked(world, passages) for _ in range(count)]


def _asked(world: World, passages: int) -> Asked:
    right = world.example(passages)
    other = world.example(1).passages[0]
    kept = tuple(other if number == right.number else one for number, one in enumerate(right.passages, 1))
    return Asked(right, Example(kept, right.fact, 0))
