"""Reading a server's bytes: lines, events, error texts, and the estimate of a prompt's tokens."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.providers.error_text import remark, safe_remark
from models.providers.stream_lines import Lines, ServerSentEvents
from models.providers.token_gauge import TokenGauge


@given(st.lists(st.binary(max_size=20).filter(lambda line: b"\n" not in line and not line.endswith(b"\r"))), st.data())
def test_lines_are_whole_however_the_bytes_are_cut(lines: list[bytes], data: st.DataObject) -> None:
    sent = b"".join(line + data.draw(st.sampled_from([b"\n", b"\r\n"])) for line in lines)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(sent)), max_size=5)))
    splitter = Lines(100)
    seen = [
        line
        for start, end in zip([0, *cuts], [*cuts, len(sent)], strict=True)
        for line in splitter.feed(sent[start:end])
    ]
    assert seen == lines
    assert splitter.finish() == []


def test_a_last_line_without_a_line_feed_is_returned_at_the_end() -> None:
    splitter = Lines(100)
    assert splitter.feed(b"one\ntw") == [b"one"]
    assert splitter.finish() == [b"tw"]


@pytest.mark.parametrize("pieces", [[b"x" * 101], [b"x" * 60, b"x" * 60], [b"a\n" + b"x" * 101 + b"\n"]])
def test_a_line_over_the_limit_is_refused_before_it_is_complete(pieces: list[bytes]) -> None:
    splitter = Lines(100)
    for piece in pieces[:-1]:
        splitter.feed(piece)
    with pytest.raises(ValueError, match="more than 100 B"):
        splitter.feed(pieces[-1])


def events(*lines: bytes) -> list[bytes]:
    parser = ServerSentEvents(100)
    return [data for line in lines if (data := parser.feed(line)) is not None]


def test_events_end_at_empty_lines_and_comments_and_other_fields_are_ignored() -> None:
    assert events(b": ping", b"", b"event: x", b"data: one", b"", b"data:two", b"data: three", b"", b"data: cut") == [
        b"one",
        b"two\nthree",
    ]


def test_an_event_that_does_not_end_is_refused() -> None:
    with pytest.raises(ValueError, match="more than 100 B"):
        events(*[b"data: " + b"x" * 30] * 9)


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ({"error": {"message": "no such model", "type": "x"}}, "no such model"),
        ({"error": "model 'x' not found"}, "model 'x' not found"),
        ({"detail": [{"msg": "bad"}]}, '[{"msg": "bad"}]'),
        ("plain words", "plain words"),
        ("<html><body>Bad gateway", ""),
        ({"error": {"message": "red \x1b[31m\u202e text\n\nand more"}}, "red [31m text and more"),
        ({}, ""),
        ("[" * 100_000, "["),
    ],
)
def test_an_errors_body_becomes_one_clean_line(body: object, said: str) -> None:
    text = body if isinstance(body, str) else json.dumps(body)
    found = remark(text.encode())
    assert found.startswith(said)
    assert len(found) <= 300
    assert not said or found


def test_the_key_is_never_shown() -> None:
    assert remark(b'{"error": "the key s3cret is wrong"}', "s3cret") == "the key *** is wrong"


@given(st.text())
def test_what_is_shown_is_one_short_line(text: str) -> None:
    found = safe_remark(text)
    assert len(found) <= 300
    assert found.isprintable()


def test_the_estimate_errs_on_the_high_side_and_learns_from_the_servers_counts() -> None:
    gauge = TokenGauge()
    assert gauge.text("word " * 300) == 500
    assert gauge.messages(["a" * 30, "b" * 30]) == 36
    gauge.learn(["x" * 3000], 2000)
    assert gauge.text("x" * 3000) == 2000
    gauge.learn(["x" * 3000], 500)
    assert gauge.text("x" * 3000) == 2000, "it never learns downwards"
    gauge.learn(["x" * 300], 10**9)
    assert gauge.text("x" * 3000) == 3000, "nor more than a token a byte"
