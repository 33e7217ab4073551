"""Makes untrusted text safe for a terminal. Pure.

A document may hold escape sequences that recolour, rename or reprogram a terminal, and bidi controls that make a line
read differently from what it says. All text from a document, a file name or a model passes through `clean_text` before
it reaches a screen; JSON for a screen passes through `escape_json`.
"""

import re
import unicodedata

_SEQUENCES = re.compile(
    r"\x1b\[[0-?]*[ -/]*[@-~]"  # CSI: colours, cursor movement
    r"|\x1b[\]PX^_].*?(?:\x07|\x1b\\|\x9c)"  # OSC, DCS, SOS, PM, APC: titles, clipboard, key definitions
    r"|\x1b[ -/]*[0-~]",  # two-character and other short escapes
    re.DOTALL,
)
_BIDI = "\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069"
_UNSEEN = "\u00ad\u200b\u2060-\u2064\u206a-\u206f\ufeff\ufff9-\ufffb\U000e0000-\U000e007f"
_CONTROLS = re.compile(f"[\x00-\x08\x0b-\x1f\x7f-\x9f{_BIDI}{_UNSEEN}]")
_LINE_ENDS = re.compile("\r\n|[\r\x0b\x0c\x85\u2028\u2029]")
NOT_SHOWN = re.compile(f"[\x00-\x1f\x7f-\x9f\u2028\u2029{_BIDI}{_UNSEEN}\ud800-\udfff]")
"""Characters to escape in a name: controls, line ends, bidi and invisible characters, bytes that are not UTF-8."""
_SURROGATES = re.compile("[\ud800-\udfff]")
_NOT_IN_JSON = re.compile(f"[\x7f-\x9f\u2028\u2029{_BIDI}{_UNSEEN}\ud800-\udfff]")


def clean_text(text: str) -> str:
    """Remove escape sequences and control, bidi and invisible characters; tabs and line feeds stay."""
    text = _LINE_ENDS.sub("\n", _SEQUENCES.sub("", text))
    return _SURROGATES.sub("\ufffd", _CONTROLS.sub("", text))


def clean_line(text: str) -> str:
    """Like `clean_text`, on one line: each run of white space becomes a single space."""
    return " ".join(clean_text(text).split())


def cell_width(text: str) -> int:
    """Count the terminal cells of `text`: two for a wide character, none for a combining mark."""
    return sum(_cells(character) for character in text)


def _cells(character: str) -> int:
    if unicodedata.combining(character):
        return 0
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1


def escape_json(json_text: str) -> str:
    """Escape in JSON what `clean_text` removes; such characters occur inside strings only."""
    return _NOT_IN_JSON.sub(_escape, json_text)


def _escape(match: re.Match[str]) -> str:
    code = ord(match.group())
    if code <= 0xFFFF:
        return f"\\u{code:04x}"
    high, low = divmod(code - 0x10000, 0x400)
    return f"\\u{0xD800 + high:04x}\\u{0xDC00 + low:04x}"
