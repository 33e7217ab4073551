"""Offsets computed from the cache of words are those of the tokenizer itself."""

from hypothesis import example, given, settings
from hypothesis import strategies as st
from tokenizers import AddedToken, Tokenizer, models, normalizers, pre_tokenizers

from models.embedding.embedder import BUILTIN
from models.embedding.word_offsets import WordOffsets, splits_at_spaces

TOKENIZER = Tokenizer.from_file(str(BUILTIN / "tokenizer.json"))
TOKENIZER.no_truncation()
TOKENIZER.encode_special_tokens = True


def encoded(text: str) -> list[tuple[int, int]]:
    return TOKENIZER.encode(text, add_special_tokens=False).offsets


OFFSETS = WordOffsets(encoded)
ODD = st.sampled_from(
    [" ", "  ", "\n", "\u00a0", "\u3000", "\u0301", "[SEP]", "数", "ﬁ", "\u200d", "-", "don't", "x" * 120]
)
TEXTS = st.lists(ODD | st.text(max_size=8), max_size=30).map("".join) | st.text(
    st.characters(exclude_categories=["Cs"]), max_size=200
)


@settings(max_examples=400)
@example("")
@example(" the pump  is\u00a0open \n")
@given(TEXTS)
def test_any_text_has_the_offsets_of_the_tokenizer(text: str) -> None:
    assert OFFSETS(text) == encoded(text)


def test_the_built_in_model_splits_at_spaces() -> None:
    assert splits_at_spaces(TOKENIZER)


def _word_level() -> Tokenizer:
    made = Tokenizer(models.WordLevel({"a": 0}, unk_token="a"))
    made.normalizer = normalizers.BertNormalizer()
    made.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    return made


def test_other_tokenizers_are_not_taken_for_one_that_splits_at_spaces() -> None:
    assert splits_at_spaces(_word_level())
    metaspace, lower, spaced, stripping, short = (_word_level() for _ in range(5))
    metaspace.pre_tokenizer = pre_tokenizers.Metaspace()
    lower.normalizer = normalizers.Sequence([normalizers.Lowercase(), normalizers.Replace("a b", "c")])
    spaced.add_tokens([AddedToken("a b")])
    stripping.add_tokens([AddedToken("x", lstrip=True)])
    short.enable_truncation(8)
    assert not any(map(splits_at_spaces, (metaspace, lower, spaced, stripping, short)))


def test_the_cache_is_bounded_in_words_and_in_their_length() -> None:
    offsets = WordOffsets(lambda word: [(0, len(word))])
    assert offsets(" ".join(map(str, range(40_000))))[-1][1] > 0
    assert offsets._known.cache_info().currsize <= 1 << 14
    asked = offsets._known.cache_info().misses
    assert offsets("x" * 1000 + " " + "y" * 33) == [(0, 1000), (1001, 1034)]
    assert offsets._known.cache_info().misses == asked
