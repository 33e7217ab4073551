"""No message of the parser's process is trusted before it is checked."""

import math
from array import array
from typing import Any

import pytest

from ingest.protocol import frames
from ingest.protocol.frames import FLOATS, INTEGERS, ProtocolError
from ingest.protocol.page_decoder import decode_info, decode_page, decode_picture_size
from ingest.sandbox.limits import Limits
from ingest.types import Bookmark


def integers(*values: int) -> "array[int]":
    return array(INTEGERS, values)


def floats(*values: float) -> "array[float]":
    return array(FLOATS, values)


GOOD: dict[str, Any] = {
    "number": 1,
    "text": "one two",
    "label": "iv",
    "size": integers(59500, 84200),
    "starts": integers(0, 4),
    "ends": integers(3, 7),
    "boxes": floats(0, 0, 10.5, 10, 20.004, 0, 30, 10),
    "line_words": integers(2),
    "line_boxes": floats(0, 0, 30, 10),
    "line_blocks": integers(0),
    "line_sizes": integers(1100),
    "line_bold": integers(1),
    "line_marked": integers(1),
    "damaged": False,
    "scanned": False,
}


def test_a_valid_page_is_decoded() -> None:
    page = decode_page(GOOD, 1, Limits())
    (line,) = page.lines
    assert [page.text[word.start : word.end] for word in line.words] == ["one", "two"]
    assert [word.box for word in line.words] == [(0.0, 0.0, 10.5, 10.0), (20.0, 0.0, 30.0, 10.0)]
    assert (line.size, line.bold, page.label, page.width) == (11.0, True, "iv", 595.0)


@pytest.mark.parametrize(
    "change",
    [
        {"number": 2},
        {"number": True},
        {"text": 5},
        {"text": "x" * 20},
        {"text": "one \ud800wo"},
        {"label": "x" * 65},
        {"size": integers(1)},
        {"size": integers(1, -1)},
        {"starts": integers(0, 2)},
        {"starts": integers(0, 7)},
        {"starts": floats(0, 4)},
        {"starts": array("q", [0, 4])},
        {"starts": [0, 4]},
        {"starts": "04"},
        {"starts": b"\0\0\0\0\4\0\0\0"},
        {"ends": integers(3)},
        {"ends": integers(3, 8)},
        {"ends": integers(0, 7)},
        {"boxes": floats(*[0.0] * 7)},
        {"boxes": integers(*[0] * 8)},
        {"line_words": integers(1)},
        {"line_words": integers(3)},
        {"line_words": integers(2, 0)},
        {"line_words": integers(-1, 3)},
        {"line_bold": integers(2)},
        {"line_blocks": integers()},
    ],
)
def test_an_invalid_page_is_refused(change: dict[str, Any]) -> None:
    with pytest.raises(ProtocolError):
        decode_page({**GOOD, **change}, 1, Limits(page_characters=10))


@pytest.mark.parametrize("odd", [1e9, -1e9, math.inf, -math.inf, math.nan, 1e308])
def test_impossible_coordinates_become_zero(odd: float) -> None:
    boxes = floats(odd, 0, 10.5, 10, 20, -0.001, 30, odd)
    first, second = decode_page({**GOOD, "boxes": boxes}, 1, Limits()).lines[0].words
    assert repr((first.box, second.box)) == repr(((0.0, 0.0, 10.5, 10.0), (20.0, 0.0, 30.0, 0.0)))


@pytest.mark.parametrize("sizes", [(), (10, 20, 300)])
def test_the_size_of_a_scan_picture_is_decoded(sizes: tuple[int, ...]) -> None:
    assert decode_picture_size({"picture": integers(*sizes)}, Limits()) == (sizes or None)


@pytest.mark.parametrize("picture", [None, [1, 1, 1], integers(1, 1), integers(0, 1, 1), integers(4000, 4000, 1)])
def test_an_invalid_size_of_a_scan_picture_is_refused(picture: object) -> None:
    with pytest.raises(ProtocolError):
        decode_picture_size({"picture": picture}, Limits())


@pytest.mark.parametrize("missing", sorted(GOOD))
def test_a_missing_field_is_refused(missing: str) -> None:
    with pytest.raises(ProtocolError):
        decode_page({key: value for key, value in GOOD.items() if key != missing}, 1, Limits())


INFO: dict[str, Any] = {
    "pages": 3,
    "title": "Pump Manual",
    "author": "A. Writer",
    "created": "D:20220729060321-04'00'",
    "modified": "yesterday",
    "language": "de_at",
    "outline_titles": ["Safety", "Valves"],
    "outline_levels": integers(1, 2),
    "outline_pages": integers(2, 0),
}


def test_what_a_document_says_about_itself_is_decoded() -> None:
    info = decode_info(INFO, Limits())
    assert (info.pages, info.title, info.author, info.language) == (3, "Pump Manual", "A. Writer", "de-AT")
    assert (info.created, info.modified) == ("2022-07-29T06:03:21-04:00", "")
    assert info.outline == (Bookmark(1, "Safety", 2), Bookmark(2, "Valves", 0))


@pytest.mark.parametrize(
    "change",
    [
        {"pages": 0},
        {"pages": 10**9},
        {"title": None},
        {"author": 5},
        {"created": "x" * 65},
        {"outline_titles": "ab"},
        {"outline_titles": ["Safety"]},
        {"outline_titles": ["Safety", None]},
        {"outline_titles": ["Safety", "x" * 301]},
        {"outline_levels": integers(0, 1)},
        {"outline_levels": integers(1)},
        {"outline_levels": [1, 2]},
        {"outline_pages": integers(4, 1)},
        {"outline_pages": integers(-1, 1)},
    ],
)
def test_invalid_facts_about_a_document_are_refused(change: dict[str, object]) -> None:
    with pytest.raises(ProtocolError):
        decode_info({**INFO, **change}, Limits())


def test_more_bookmarks_than_the_limit_are_refused() -> None:
    with pytest.raises(ProtocolError):
        decode_info(INFO, Limits(bookmarks=1))


def test_a_message_travels_unchanged() -> None:
    message = {
        "type": "page",
        "starts": integers(0, -(2**31), 2**31 - 1),
        "text": "ﬁ \u2028 \x00 \U0001f600",
        "boxes": floats(0.1, math.inf),
        "none": integers(),
    }
    data = frames.encode(message)
    assert frames.HEADER.unpack(data[:4]) == (len(data) - 4,)
    assert frames.decode(data[4:]) == message


def body(text: bytes, columns: bytes = b"") -> bytes:
    return frames.HEADER.pack(len(text)) + text + columns


@pytest.mark.parametrize(
    "text", [b"", b"[]", b"nul", b'{"a": NaN}', b"\xff", b"[" * 50_000, b'{"a": ' + b"9" * 5000 + b"}"]
)
def test_only_plain_json_objects_are_messages(text: bytes) -> None:
    with pytest.raises(ProtocolError):
        frames.decode(body(text))


@pytest.mark.parametrize(
    "columns",
    [
        '[["a", "i", 1]]',
        '{"a": ["i"]}',
        '{"a": ["i", -1]}',
        '{"a": ["i", 1.0]}',
        '{"a": ["i", 2]}',
        '{"a": ["i", 0]}',
        '{"a": ["i", 100000000000000000000]}',
        '{"a": ["u", 1]}',
        '{"a": ["", 1]}',
        '{"a": ["ii", 1]}',
        '{"a": ["i", 1], "b": ["i", 1]}',
        "{}",
    ],
)
def test_columns_that_do_not_match_the_data_are_refused(columns: str) -> None:
    with pytest.raises(ProtocolError):
        frames.decode(body(b'{"columns": %s}' % columns.encode(), b"\1\0\0\0"))


@pytest.mark.parametrize("data", [b"", b"\0\0", b"\0\0\0\3{}", b"\xff\xff\xff\xff{}", b"\0\0\0\2{} "])
def test_a_body_must_have_exactly_the_announced_length(data: bytes) -> None:
    with pytest.raises(ProtocolError):
        frames.decode(data)
