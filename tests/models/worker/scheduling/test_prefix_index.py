"""KV is found by tokens and adapters together, the longest first."""

import pytest

from models.worker.scheduling.prefix_index import Prefixes, as_tokens, common

PLAIN, ADAPTED = (), (("a", 1.0),)


@pytest.mark.parametrize(
    ("one", "other", "length"),
    [
        ([], [], 0),
        ([1], [], 0),
        ([1, 2], [1, 2, 3], 2),
        ([2, 2], [1, 2], 0),
        ([1, 2, 3], [1, 2, 3], 3),
        ([1, 5], [1, 6], 1),
    ],
)
def test_the_length_of_the_common_prefix(one: list[int], other: list[int], length: int) -> None:
    assert common(as_tokens(one), as_tokens(other)) == length


def test_the_longest_common_prefix_is_found_for_equal_adapters_only() -> None:
    known: Prefixes[str] = Prefixes()
    known.add(as_tokens([1, 2, 3, 9]), PLAIN, "short")
    known.add(as_tokens([1, 2, 3, 4, 5, 6]), PLAIN, "long")
    known.add(as_tokens([1, 2, 3, 4, 5, 7]), ADAPTED, "adapted")
    found = known.best(as_tokens([1, 2, 3, 4, 5, 7]), PLAIN)
    assert found
    assert (found.prefix.place, found.length) == ("long", 5)
    assert known.best(as_tokens([1, 2, 3]), (("a", 0.5),)) is None
    assert known.best(as_tokens([2, 2, 3]), PLAIN) is None


def test_kv_that_cannot_be_cut_matches_only_a_text_that_continues_from_its_end() -> None:
    known: Prefixes[str] = Prefixes(whole=True)
    known.add(as_tokens([1, 2, 3]), PLAIN, "it")
    known.add(as_tokens([1, 2, 3, 4]), PLAIN, "more")
    assert len(known) == 2
    assert known.best(as_tokens([1, 2, 9]), PLAIN) is None
    found = known.best(as_tokens([1, 2, 3, 5]), PLAIN)
    assert found
    assert found.prefix.place == "it"


def test_a_longer_prefix_replaces_its_beginnings_and_a_shorter_one_is_not_kept() -> None:
    known: Prefixes[str] = Prefixes()
    assert known.add(as_tokens([1, 2]), PLAIN, "first") == []
    assert known.add(as_tokens([1, 2]), ADAPTED, "adapted") == []
    assert known.add(as_tokens([1, 2, 3]), PLAIN, "second") == ["first"]
    assert known.add(as_tokens([1]), PLAIN, "third") is None
    assert {entry.place for entry in known.oldest()} == {"second", "adapted"}


def test_the_least_recently_used_comes_first() -> None:
    known: Prefixes[int] = Prefixes()
    for number in range(3):
        known.add(as_tokens([number]), PLAIN, number)
    known.touch(next(known.oldest()))
    assert [entry.place for entry in known.oldest()] == [1, 2, 0]
