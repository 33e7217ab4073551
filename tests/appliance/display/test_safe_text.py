"""Untrusted text cannot control a terminal."""

import json
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.display.safe_text import clean_line, clean_text, escape_json


@pytest.mark.parametrize(
    ("foreign", "clean"),
    [
        ("\x1b[31mred\x1b[0m", "red"),
        ("\x1b]0;title\x07x", "x"),
        ("\x1b]52;c;ZXZpbA==\x1b\\x", "x"),
        ("\x1bPq#0\x1b\\x", "x"),
        ("\x1bcx", "x"),
        ("\x9b31mx", "31mx"),
        ("a\x08\x08b\x00", "ab"),
        ("a\u202ecod.exe", "acod.exe"),
        ("zero\u200bwidth\ufeff", "zerowidth"),
        ("one\r\ntwo\rthree\u2028four", "one\ntwo\nthree\nfour"),
        ("tab\tand\nline", "tab\tand\nline"),
        ("bad \udcff byte", "bad \ufffd byte"),
        ("größer – “quoted” 👩\u200d⚕", "größer – “quoted” 👩\u200d⚕"),
    ],
)
def test_escape_sequences_and_controls_are_removed(foreign: str, clean: str) -> None:
    assert clean_text(foreign) == clean


@given(st.text())
def test_no_control_character_is_left(text: str) -> None:
    left = clean_text(text)
    assert all(unicodedata.category(c) not in ("Cc", "Cs") or c in "\n\t" for c in left)
    assert clean_text(left) == left


@given(st.text())
def test_a_clean_line_is_a_single_line(text: str) -> None:
    assert "\n" not in clean_line(text)


@given(st.text())
def test_escaped_json_has_the_same_value_and_no_control_characters(text: str) -> None:
    escaped = escape_json(json.dumps(text, ensure_ascii=False))
    assert json.loads(escaped) == text
    assert clean_text(escaped) == escaped
