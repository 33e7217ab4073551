"""Words, sentences and hyphens: the page's own characters become readable text."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.chunking.sentences import sentence_lengths
from ingest.layout.normalisation import is_bullet, normalised
from ingest.layout.words import Known, LineWord, append_line, render


@pytest.mark.parametrize(
    ("word", "readable"),
    [
        ("plain", "plain"),
        ("eﬃcient", "efficient"),
        ("ﬁnal", "final"),
        ("cafe\u0301", "café"),
        ("Ｐｕｍｐ", "Pump"),
        ("𝐱", "x"),
        ("Ⅳ", "IV"),
        ("wait…", "wait…"),
        ("10²", "10²"),
        ("½", "½"),
        ("co\u00adop", "coop"),
        ("zero\u200bwidth", "zerowidth"),
        ("a\x07b", "ab"),
        ("\x1b[31m", "[31m"),
        ("\u202eevil", "evil"),
        ("\uf0b7", ""),
        ("\x00", ""),
    ],
)
def test_words_are_composed_expanded_and_stripped_of_what_cannot_be_read(word: str, readable: str) -> None:
    assert normalised(word) == readable


def test_bullets_are_single_marks_not_words() -> None:
    assert is_bullet("•")
    assert not is_bullet("a")
    assert not is_bullet("--")


@pytest.mark.parametrize(
    ("text", "sentences"),
    [
        ("One. Two.", 2),
        ("It cost $1.20 per share in 2022. Sales rose.", 2),
        ("Apple Inc. and Intel Corp. agreed.", 1),
        ("He works at Apple Inc. The shares rose.", 2),
        ("See Fig. 3 and No. 7 for details.", 1),
        ("Mr. J. Smith came. He left.", 2),
        ("Use e.g. oil. Never water!", 2),
        ('"Stop!" "Why?" he asked.', 2),
        ("1. Open the valve. 2. Close it.", 2),
        ("No end here", 1),
        ("", 0),
    ],
)
def test_sentences_end_where_a_reader_ends_them(text: str, sentences: int) -> None:
    assert len(sentence_lengths(text.split())) == sentences


@given(st.lists(st.text(st.characters(blacklist_categories=["Zs", "Cs", "Cc"]), min_size=1), max_size=40))
def test_no_word_is_lost_between_sentences(words: list[str]) -> None:
    lengths = sentence_lengths(words)
    assert sum(lengths) == len(words)
    assert all(length > 0 for length in lengths)


def joined(first: str, second: str, known: Known | None = None) -> str:
    pieces: list[LineWord] = []
    for line in (first, second):
        append_line(pieces, [LineWord(word, " ", 1, 0, len(word), (0, 0, 0, 0)) for word in line.split()], known)
    return render(pieces)


@pytest.mark.parametrize(
    ("first", "second", "whole"),
    [
        ("the mainte-", "nance plan", "the maintenance plan"),
        ("a well-", "known plan", "a well-known plan"),
        ("state-of-the-", "art plan", "state-of-the-art plan"),
        ("Smith-", "Jones said", "Smith-Jones said"),
        ("pages 10-", "12 say", "pages 10-12 say"),
        ("a dash -", "and more", "a dash - and more"),
        ("plain", "words", "plain words"),
    ],
)
def test_a_hyphen_at_a_line_end_is_removed_only_if_it_splits_a_word(first: str, second: str, whole: str) -> None:
    assert joined(first, second) == whole


@pytest.mark.parametrize(
    ("first", "second", "whole"),
    [
        ("a mixed-", "mode plan", "a mixed-mode plan"),
        ("the ware-", "house plan", "the warehouse plan"),
        ("the mainte-", "nance plan", "the maintenance plan"),
        ("an anti-", "trust plan", "an antitrust plan"),
        ("(mixed-", "mode).", "(mixed-mode)."),
    ],
)
def test_two_words_that_make_no_known_one_keep_their_hyphen(first: str, second: str, whole: str) -> None:
    known = frozenset(["mixed", "mode", "ware", "house", "warehouse", "anti", "trust", "antitrust"])
    assert joined(first, second, known.__contains__) == whole
