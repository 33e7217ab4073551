"""Cleans a server's own error text for one line of a message. Pure."""

import json
import unicodedata

_LONGEST = 300
_PLACES = ("error", "message", "detail", "msg")


def remark(body: bytes, secret: str = "") -> str:
    """The message in an error's body, cleaned and shortened, without `secret`; empty if there is none.

    Servers write `{"error": {"message"}}` (OpenAI), `{"error": TEXT}` (ollama), `{"detail": …}` (FastAPI), or plain
    text.
    """
    text = body.decode("utf-8", "replace")
    try:
        found = _inside(json.loads(text))
    except (ValueError, RecursionError):
        found = text if not text.lstrip().startswith("<") else ""  # an HTML page says nothing useful
    return safe_remark(found.replace(secret, "***") if secret else found)


def _inside(value: object) -> str:
    for _ in range(4):
        if not isinstance(value, dict):
            break
        value = next((value[key] for key in _PLACES if value.get(key)), "")
    return value if isinstance(value, str) else json.dumps(value)[: 2 * _LONGEST]


def safe_remark(text: str) -> str:
    """The text on one line of at most 300 characters, without control, format and unassigned characters."""
    visible = "".join(one if _is_visible(one) else " " for one in text[: 8 * _LONGEST])
    line = " ".join(visible.split())
    return line if len(line) <= _LONGEST else line[: _LONGEST - 1] + "…"


def _is_visible(character: str) -> bool:
    return unicodedata.category(character)[0] not in "CZ"
