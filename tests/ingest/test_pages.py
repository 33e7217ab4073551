"""No message of the parser's process is believed before it is checked."""

from typing import Any

import pytest

from ingest import frames
from ingest.frames import ProtocolError
from ingest.limits import Limits
from ingest.pages import decode_info, decode_page
from ingest.types import Bookmark

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


INFO: dict[str, Any] = {
    "pages": 3,
    "title": "Pump Manual",
    "author": "A. Writer",
    "created": "D:20220729060321-04'00'",
    "modified": "yesterday",
    "language": "de_at",
    "outline_titles": ["Safety", "Valves"],
    "outline_levels": [1, 2],
    "outline_pages": [2, 0],
}


def test_a_documents_statements_about_itself_are_decoded() -> None:
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
        {"outline_levels": [0, 1]},
        {"outline_levels": [1]},
        {"outline_pages": [4, 1]},
        {"outline_pages": [-1, 1]},
    ],
)
def test_odd_facts_about_a_document_are_refused(change: dict[str, object]) -> None:
    with pytest.raises(ProtocolError):
        decode_info({**INFO, **change}, Limits())


def test_more_bookmarks_than_are_kept_are_refused() -> None:
    with pytest.raises(ProtocolError):
        decode_info(INFO, Limits(bookmarks=1))


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
