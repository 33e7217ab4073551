"""Foreign text made safe for a terminal, and amounts made readable.

A document may hold escape sequences that recolour, rename or reprogram a terminal, and bidi controls that make a line
read otherwise than it is. Everything that comes from a document, a file name or a model passes through `clean_text`
before it reaches a screen; the JSON that goes to one passes through `escape_json`.
"""

import re
import unicodedata

_SEQUENCES = re.compile(
    r"\x1b\[[0-?]*[ -/]*[@-~]"  # CSI: colours, cursor movement
    r"|\x1b[\]PX^_].*?(?:\x07|\x1b\\|\x9c)"  # OSC, DCS, SOS, PM, APC: titles, clipboard, key definitions
    r"|\x1b[ -/]*[0-~]",  # the short ones
    re.DOTALL,
)
_BIDI = "\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069"
_UNSEEN = "\u00ad\u200b\u2060-\u2064\u206a-\u206f\ufeff\ufff9-\ufffb\U000e0000-\U000e007f"
_CONTROLS = re.compile(f"[\x00-\x08\x0b-\x1f\x7f-\x9f{_BIDI}{_UNSEEN}]")
_LINE_ENDS = re.compile("\r\n|[\r\x0b\x0c\x85\u2028\u2029]")
NOT_SHOWN = re.compile(f"[\x00-\x1f\x7f-\x9f\u2028\u2029{_BIDI}{_UNSEEN}\ud800-\udfff]")
"""What may not stand in a name as it is: controls, line ends, bidi and unseen characters, bytes that are not UTF-8."""
_SURROGATES = re.compile("[\ud800-\udfff]")
_NOT_IN_JSON = re.compile(f"[\x7f-\x9f\u2028\u2029{_BIDI}{_UNSEEN}\ud800-\udfff]")


def clean_text(text: str) -> str:
    """`text` without escape sequences, control, bidi and unseen characters; only tabs and line feeds stay."""
    text = _LINE_ENDS.sub("\n", _SEQUENCES.sub("", text))
    return _SURROGATES.sub("\ufffd", _CONTROLS.sub("", text))


def clean_line(text: str) -> str:
    """`clean_text` on one line, every run of white space a single space."""
    return " ".join(clean_text(text).split())


def cell_width(text: str) -> int:
    """Cells that `text` takes on a terminal: two for wide characters, none for marks that combine."""
    return sum(_cells(character) for character in text)


def _cells(character: str) -> int:
    if unicodedata.combining(character):
        return 0
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1


def escape_json(json_text: str) -> str:
    """The same JSON with the characters of `clean_text` escaped; they occur inside strings only."""
    return _NOT_IN_JSON.sub(_escape, json_text)


def _escape(match: re.Match[str]) -> str:
    code = ord(match.group())
    if code <= 0xFFFF:
        return f"\\u{code:04x}"
    high, low = divmod(code - 0x10000, 0x400)
    return f"\\u{0xD800 + high:04x}\\u{0xDC00 + low:04x}"
