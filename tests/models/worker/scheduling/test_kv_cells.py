"""The counts of cells agree with sets of cells, which llama.cpp keeps."""

from random import Random

from models.worker.scheduling.kv_cells import KvCells


def test_sharing_takes_no_cells_and_the_last_holder_frees_them() -> None:
    cells = KvCells(100, 3)
    cells.grow(0, 40)
    cells.share(0, 1, 30)
    cells.grow(1, 5)
    assert (cells.free, cells.length(1), cells.alone(0), cells.alone(1)) == (55, 35, 10, 5)
    assert (cells.together([0, 1]), cells.together([0]), cells.together([1], (0, 33))) == (45, 40, 38)
    cells.cut(0, 0)
    assert cells.free == 65
    cells.cut(1, 0)
    assert cells.free == 100


def test_random_growing_sharing_and_cutting_agrees_with_sets() -> None:
    random = Random(3)
    cells, fresh = KvCells(600, 5), iter(range(10**6))
    held: list[list[int]] = [[] for _ in range(5)]
    for _ in range(2000):
        one, other = random.sample(range(5), 2)
        match random.randrange(3):
            case 0 if cells.free:
                count = random.randint(1, min(40, cells.free))
                cells.grow(one, count)
                held[one] += [next(fresh) for _ in range(count)]
            case 1 if len(held[one]) > len(held[other]):
                end = random.randint(len(held[other]), len(held[one]))
                cells.share(one, other, end)
                held[other] += held[one][len(held[other]) : end]
            case 2:
                length = random.randint(0, len(held[one]))
                cells.cut(one, length)
                del held[one][length:]
        together = set().union(*held)
        assert cells.free == 600 - len(together)
        assert [cells.length(sequence) for sequence in range(5)] == [len(numbers) for numbers in held]
        assert cells.together([one, other]) == len({*held[one], *held[other]})
        others = set().union(*(numbers for sequence, numbers in enumerate(held) if sequence != one))
        assert cells.alone(one) == len(set(held[one]) - others)
