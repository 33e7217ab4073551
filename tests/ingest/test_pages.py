"""No message of the parser's process is believed before it is checked."""

from typing import Any

import pytest

from ingest import frames
from ingest.frames import ProtocolError
from ingest.limits import Limits
from ingest.pages import decode_info, decode_page

GOOD: dict[str, Any] = {
    "number": 1,
    "text": "one two",
    "label": "iv",
    "size": [59500, 84200],
    "starts": [0, 4],
    "ends": [3, 7],
    "boxes": [0, 0, 1050, 1000, 2000, 0, 3000, 1000],
    "line_words": [2],
    "line_boxes": [0, 0, 3000, 1000],
    "line_blocks": [0],
    "line_sizes": [1100],
    "line_bold": [1],
    "line_marked": [1],
}


def test_a_good_page_is_decoded() -> None:
    page = decode_page(GOOD, 1, Limits())
    (line,) = page.lines
    assert [page.text[word.start : word.end] for word in line.words] == ["one", "two"]
    assert line.words[0].box == (0.0, 0.0, 10.5, 10.0)
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
        {"size": [1]},
        {"size": [1, -1]},
        {"starts": [0, 2]},
        {"starts": [0, 7]},
        {"starts": [0, 10**30]},
        {"starts": [0, 4.5]},
        {"starts": [0, "4"]},
        {"starts": [0, None]},
        {"starts": [[0], [4]]},
        {"starts": [[0], [4, 5]]},
        {"starts": [False, True]},
        {"starts": "04"},
        {"ends": [3]},
        {"ends": [3, 8]},
        {"boxes": [0] * 7},
        {"boxes": [10**9] * 8},
        {"line_words": [1]},
        {"line_words": [3]},
        {"line_words": [2, 0]},
        {"line_words": [-1, 3]},
        {"line_bold": [2]},
        {"line_blocks": []},
    ],
)
def test_anything_odd_is_refused(change: dict[str, Any]) -> None:
    with pytest.raises(ProtocolError):
        decode_page({**GOOD, **change}, 1, Limits(page_characters=10))


@pytest.mark.parametrize("missing", sorted(GOOD))
def test_a_missing_field_is_refused(missing: str) -> None:
    with pytest.raises(ProtocolError):
        decode_page({key: value for key, value in GOOD.items() if key != missing}, 1, Limits())


@pytest.mark.parametrize(
    "info", [{}, {"pages": 0, "title": ""}, {"pages": 10**9, "title": ""}, {"pages": 1, "title": None}]
)
def test_odd_facts_about_a_document_are_refused(info: dict[str, object]) -> None:
    with pytest.raises(ProtocolError):
        decode_info(info, Limits())


def test_a_message_travels_unchanged() -> None:
    message = {"type": "page", "text": "ﬁ \u2028 \x00 \U0001f600"}
    data = frames.encode(message)
    assert frames.HEADER.unpack(data[:4]) == (len(data) - 4,)
    assert frames.decode(data[4:]) == message


@pytest.mark.parametrize(
    "body", [b"", b"[]", b"nul", b'{"a": NaN}', b"\xff", b"[" * 50_000, b'{"a": ' + b"9" * 5000 + b"}"]
)
def test_only_plain_json_objects_are_messages(body: bytes) -> None:
    with pytest.raises(ProtocolError):
        frames.decode(body)
