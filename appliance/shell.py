"""File names in commands that a person can paste into a shell."""

import shlex


def shell_quote(name: bytes) -> str:
    """A name as one shell word; one with control characters or bytes that are not UTF-8 in the `$'…'` form of bash."""
    try:
        text = name.decode("utf-8")
    except UnicodeDecodeError:
        text = ""
    if text and text.isprintable():
        return shlex.quote(text)
    return "$'" + "".join(_escaped(byte) for byte in name) + "'"


def _escaped(byte: int) -> str:
    character = chr(byte)
    if 0x20 <= byte < 0x7F and character not in "\\'":
        return character
    return f"\\x{byte:02x}"
