"""Released text has whole characters only and no stop strings, and is never taken back."""

from hypothesis import given, settings
from hypothesis import strategies as st

from models.text_stream import TextStream


def run(pieces: list[bytes], stop: tuple[str, ...] = ()) -> tuple[str, TextStream]:
    stream = TextStream(stop)
    released = "".join(stream.feed(piece) for piece in pieces if not stream.stopped)
    return released + ("" if stream.stopped else stream.finish()), stream


def test_a_character_split_between_tokens_waits_for_its_other_bytes() -> None:
    stream = TextStream()
    data = "€".encode()
    assert [stream.feed(data[:1]), stream.feed(data[1:2]), stream.feed(data[2:])] == ["", "", "€"]


def test_bytes_that_are_not_a_character_are_replaced_at_the_end() -> None:
    assert run([b"a", b"\xe2"])[0] == "a\ufffd"


def test_a_stop_string_split_between_tokens_is_never_shown() -> None:
    text, stream = run([b"the end", b"<|", b"im_", b"end|> more"], ("<|im_end|>",))
    assert (text, stream.stopped) == ("the end", True)


def test_text_that_only_looked_like_a_stop_string_is_released() -> None:
    assert run([b"a\n", b"\nb", b"\n"], ("\n\n\n",))[0] == "a\n\nb\n"


def test_the_earliest_of_several_stop_strings_counts() -> None:
    assert run([b"one two three"], ("three", "two"))[0] == "one "


@settings(deadline=None)
@given(st.text(), st.lists(st.integers(1, 7)), st.lists(st.text(min_size=1, max_size=4), max_size=3))
def test_the_text_is_the_same_however_the_bytes_are_split(text: str, cuts: list[int], stop: list[str]) -> None:
    data = text.encode("utf-8", "replace")
    pieces = []
    for cut in cuts:
        pieces.append(data[:cut])
        data = data[cut:]
    whole = text.encode("utf-8", "replace").decode()
    ends = [whole.find(one) for one in stop if one in whole]
    assert run([*pieces, data], tuple(stop))[0] == (whole[: min(ends)] if ends else whole)
