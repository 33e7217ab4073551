r"""Turns the bytes of a path into text for people and JSON, and back. Pure; touches no file system.

Bytes that are not UTF-8, and characters that a terminal would obey, hide or reorder, become escapes: `\xff`, `\n`,
`\x1b`. A backslash that would read as the start of such an escape becomes `\x5c`; any other stays as it is. So
`from_display(display_name(path)) == path` for every path, and what is shown can be typed. `shell_quote` makes a name
ready to paste into a shell.
"""

import re
import shlex

from appliance.display.safe_text import NOT_SHOWN

_SHORT = {"\n": r"\n", "\r": r"\r", "\t": r"\t"}
_LONG = {escape: character for character, escape in _SHORT.items()}
_ESCAPE = re.compile(r"\\(?:x[0-9a-f]{2}|[nrt])")
_AMBIGUOUS = re.compile(r"\\(?=x[0-9a-f]{2}|[nrt])")


def display_name(path: bytes) -> str:
    """Show a path to people and in JSON."""
    text = path.decode("utf-8", "surrogateescape")
    return shown_argument(_AMBIGUOUS.sub(lambda _: r"\x5c", text))


def from_display(shown: str) -> bytes:
    """Return the path that `display_name` shows as `shown`; anything that is not an escape stands for itself."""
    return b"".join(_bytes_of(part) for part in re.split(f"({_ESCAPE.pattern})", shown))


def shown_argument(argument: str) -> str:
    """Bring a name from the command line into the form in which the service shows it.

    The name may hold raw bytes or control characters, as a shell completes them from the file system, or may already
    be in the shown form; so backslashes stay as they are.
    """
    return NOT_SHOWN.sub(_escaped, argument)


def shell_quote(name: bytes) -> str:
    """Quote a name as one shell word; control characters and bytes that are not UTF-8 need the `$'…'` form of bash."""
    try:
        text = name.decode("utf-8")
    except UnicodeDecodeError:
        text = ""
    if text and text.isprintable():
        return shlex.quote(text)
    return "$'" + "".join(_escaped_byte(byte) for byte in name) + "'"


def _escaped(match: re.Match[str]) -> str:
    character = match.group()
    if character in _SHORT:
        return _SHORT[character]
    raw = "surrogateescape" if "\udc80" <= character <= "\udcff" else "surrogatepass"
    return "".join(f"\\x{byte:02x}" for byte in character.encode("utf-8", raw))


def _bytes_of(part: str) -> bytes:
    if part in _LONG:
        return _LONG[part].encode()
    if _ESCAPE.fullmatch(part):
        return bytes([int(part[2:], 16)])
    return part.encode("utf-8", "replace")


def _escaped_byte(byte: int) -> str:
    character = chr(byte)
    if 0x20 <= byte < 0x7F and character not in "\\'":
        return character
    return f"\\x{byte:02x}"
