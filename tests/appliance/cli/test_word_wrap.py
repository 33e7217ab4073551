"""Wrapping text while it is still arriving."""

from hypothesis import given
from hypothesis import strategies as st

from appliance.cli.shared.word_wrap import WordWrap
from appliance.display.safe_text import cell_width

TEXT = st.text(alphabet="ab 漢\n", max_size=80)


def wrapped(*pieces: str, width: int = 10) -> str:
    wrap = WordWrap(width)
    return "".join(map(wrap.feed, pieces)) + wrap.flush()


def test_lines_break_between_words() -> None:
    assert wrapped("one two three four") == "one two\nthree four"


def test_a_long_word_stays_whole() -> None:
    assert wrapped("a incomprehensibilities b") == "a\nincomprehensibilities\nb"


def test_line_feeds_and_indents_stay() -> None:
    assert wrapped("one\n\n  two") == "one\n\n  two"


@given(TEXT, st.integers(0, 80))
def test_pieces_make_no_difference(text: str, at: int) -> None:
    assert wrapped(text[:at], text[at:]) == wrapped(text)


@given(TEXT)
def test_no_word_is_lost_and_no_line_of_several_words_is_too_long(text: str) -> None:
    result = wrapped(text)
    assert result.split() == text.split()
    assert all(cell_width(line) <= 10 for line in result.split("\n") if len(line.split()) > 1 and line[0] != " ")
