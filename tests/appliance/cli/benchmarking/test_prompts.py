"""The prompts of a benchmark."""

from hypothesis import given, settings
from hypothesis import strategies as st

from appliance.cli.benchmarking.prompts import PromptMaker

NUMBERS = st.integers(min_value=0, max_value=10_000)


@settings(max_examples=40, deadline=None)
@given(NUMBERS, NUMBERS, st.sampled_from(["one run", "another"]))
def test_no_two_prompts_share_their_first_word(one: int, other: int, run: str) -> None:
    first = PromptMaker("one run").of_words(one, 5).split()[0]
    second = PromptMaker(run).of_words(other, 5).split()[0]
    assert (first == second) == ((one, "one run") == (other, run))


@settings(max_examples=40, deadline=None)
@given(st.integers(min_value=1, max_value=2000), st.floats(min_value=0.2, max_value=8))
def test_a_calibrated_prompt_has_about_the_tokens_that_were_asked_for(tokens: int, per_word: float) -> None:
    maker = PromptMaker("run").calibrated(1000, round(1000 * per_word))
    words = len(maker.make(1, tokens).split())
    assert abs(words * maker.tokens_per_word - tokens) <= max(1.0, maker.tokens_per_word)
