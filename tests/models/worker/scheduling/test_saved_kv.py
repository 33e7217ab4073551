"""Saved KV stays within its limit of bytes."""

import numpy as np

from models.worker.scheduling.prefix_index import as_tokens
from models.worker.scheduling.saved_kv import SavedKv


def test_the_limit_holds_and_the_least_recently_used_is_removed_first() -> None:
    states = SavedKv(100, whole=False)
    for number in range(3):
        states.add(as_tokens([number] * 4), (), np.zeros(40, np.uint8))
    assert states.held == 80
    assert states.best(as_tokens([0]), ()) is None
    assert states.best(as_tokens([2]), ())


def test_a_state_larger_than_the_limit_evicts_no_other() -> None:
    states = SavedKv(100, whole=False)
    states.add(as_tokens([1]), (), np.zeros(40, np.uint8))
    states.add(as_tokens([2]), (), np.zeros(101, np.uint8))
    assert (states.held, states.best(as_tokens([2]), ())) == (40, None)


def test_a_longer_text_replaces_its_beginning() -> None:
    states = SavedKv(100, whole=False)
    states.add(as_tokens([1]), (), np.zeros(40, np.uint8))
    states.add(as_tokens([1, 2]), (), np.zeros(50, np.uint8))
    assert states.held == 50


def test_trimming_frees_memory_at_once() -> None:
    states = SavedKv(100, whole=False)
    for number in range(2):
        states.add(as_tokens([number]), (), np.zeros(40, np.uint8))
    states.trim(50)
    assert states.held == 40
    states.trim(0)
    assert states.held == 0
