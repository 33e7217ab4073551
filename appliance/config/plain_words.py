"""Rewords pydantic's messages for people who do not program. Pure, and imports nothing heavy."""

import re

_TEXTS = {
    "valid integer": "whole number",
    "valid number": "number",
    "valid boolean": "true or false",
    "valid string": "text",
    "valid tuple": "list",
    "valid list": "list",
}
_DETAILS = re.compile(r"(Input should be a valid \w+)(?:, unable to [^.;\n]+| or instance of \w+|, got a [\w ]+)")
_KINDS = re.compile(rf"Input should be a ({'|'.join(_TEXTS)})\b")
_CHOICES = re.compile(r"String should match pattern '\^\((\w+(?:\|\w+)+)\)\$'")
_REPLACED = (
    ("Value error, ", ""),
    ("Input should be a valid dictionary", "it must be a section of settings"),
    ("Input should be greater than or equal to", "it must be at least"),
    ("Input should be less than or equal to", "it must be at most"),
    ("Input should be greater than", "it must be more than"),
    ("Input should be", "it must be"),
    ("String should have", "it must have"),
    ("Tuple should have", "it must have"),
    ("List should have", "it must have"),
    ("Value should have", "it must have"),
    (" after validation, not 0", ""),
)


def plain_words(message: str) -> str:
    """The message in plain words: `it must be a whole number`, `it must be at most 64`."""
    message = _CHOICES.sub(_choices, _KINDS.sub(_kind, _DETAILS.sub(r"\1", message)))
    for phrase, plain in _REPLACED:
        message = message.replace(phrase, plain)
    return message


def _choices(found: re.Match[str]) -> str:
    *others, last = found[1].split("|")
    return f"it must be {', '.join(others)} or {last}"


def _kind(found: re.Match[str]) -> str:
    words = _TEXTS[found[1]]
    return f"it must be {words if words in ('text', 'true or false') else f'a {words}'}"
