"""Drafts come from the place with the longest agreement, and are made only where they pay."""

import itertools
from random import Random

from models.worker.scheduling.speculation import Acceptance, Costs, Draft, Lookup


def test_the_longest_agreement_wins_and_the_last_of_equal_ones() -> None:
    text = [7, 1, 2, 3, 10, 11, 9, 2, 3, 20, 21, 8, 1, 2, 3]
    assert Lookup(text).draft(2) == Draft([10, 11], 3)
    assert Lookup([1, 2, 30, 31, 0, 1, 2, 40, 41, 5, 1, 2]).draft(2) == Draft([40, 41], 2)


def test_without_two_agreeing_tokens_there_is_no_draft() -> None:
    for text in ([], [1], [1, 1], [1, 2, 3, 4, 9, 4], list(range(50))):
        assert Lookup(text).draft(8) is None


def test_tokens_appended_later_are_searched_too() -> None:
    lookup = Lookup([])
    for token in [*range(1000), 500, 501, 502]:
        lookup.append(token)
    assert lookup.draft(3) == Draft([503, 504, 505], 3)


def test_a_draft_always_followed_the_agreeing_tokens_before() -> None:
    random = Random(1)
    for _ in range(200):
        text = [random.randrange(4) for _ in range(random.randrange(3, 60))]
        draft = Lookup(text).draft(5)
        pairs = list(itertools.pairwise(text))
        assert (draft is None) == ((text[-2], text[-1]) not in pairs[:-1])
        if draft:
            found = [*text[len(text) - draft.agreeing :], *draft.tokens]
            assert any(text[at : at + len(found)] == found for at in range(len(text)))
            assert 1 <= len(draft.tokens) <= 5


def test_acceptance_is_learnt() -> None:
    quoting, inventing = Acceptance(), Acceptance()
    for agreeing in range(2, 30):
        quoting.learn(agreeing, True)
        inventing.learn(agreeing % 4 + 2, False)
    assert quoting.expected(8, 16) > 12
    assert inventing.expected(3, 16) < 0.5


def test_before_any_measurement_a_long_agreement_is_drafted_and_a_short_one_not() -> None:
    costs, chances = Costs(), Acceptance()
    assert costs.pays(1, 1, 16, chances.expected(8, 16))
    assert not costs.pays(1, 1, 16, chances.expected(2, 16))


def test_measurements_decide_and_are_renewed_once_in_a_while() -> None:
    costs = Costs()
    costs.learn(1, 0.010)
    for _ in range(30):
        costs.learn(17, 0.200)
    tried = [costs.pays(1, 1, 16, 12.0) for _ in range(640)]
    assert sum(tried) == 10
    for _ in range(30):
        costs.learn(17, 0.030)
    assert costs.pays(1, 1, 16, 12.0)
    assert costs.pays(1, 1, 16, 3.0)  # although the curve would not allow it


def test_one_slow_batch_does_not_end_drafting() -> None:
    costs = Costs()
    costs.learn(1, 0.010)
    costs.learn(17, 0.500)
    assert costs.pays(1, 1, 16, 12.0)


def test_a_draft_must_pay_for_the_time_of_all_answers_in_the_batch() -> None:
    costs = Costs()
    for tokens, seconds in ((1, 0.010), (8, 0.030), (17, 0.050), (24, 0.090)) * 30:
        costs.learn(tokens, seconds)
    assert costs.pays(1, 1, 16, 8.0)
    assert not costs.pays(8, 8, 16, 8.0)
