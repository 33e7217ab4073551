"""Messages between the parser's process and its parent: four bytes of length, then that much body.

A body is four bytes of length, so much JSON, and behind it the message's columns of numbers, packed one after the other
as the JSON's `columns` lists them: a page is mostly numbers, and as text they would take longer than reading it.

Never pickle: what comes out of the parser's process is as hostile as the document it read.
"""

import json
import struct
from array import array
from collections.abc import Mapping

HEADER = struct.Struct(">I")
NUMBER = struct.Struct("=i")
"""Between the process that parsers are forked from and the service: a process id, or how one ended."""
ORDER_BYTES = 128 * 1024
"""The longest order to that process."""

INTEGERS, FLOATS = "i", "d"
"""What a column may hold, as `array` names it, in this machine's own order of bytes."""


class ProtocolError(ValueError):
    """The parser's process sent something it never sends when it is well."""


def encode(message: Mapping[str, object]) -> bytes:
    """One message as it travels; arrays of it are its columns."""
    columns = {name: value for name, value in message.items() if isinstance(value, array)}
    head = {name: value for name, value in message.items() if name not in columns}
    if columns:
        head["columns"] = {name: [column.typecode, len(column)] for name, column in columns.items()}
    text = json.dumps(head, separators=(",", ":")).encode("ascii")
    body = b"".join([HEADER.pack(len(text)), text, *(column.tobytes() for column in columns.values())])
    return HEADER.pack(len(body)) + body


def decode(body: bytes) -> dict[str, object]:
    """A message's body, its columns as arrays. Raises ProtocolError for anything that `encode` doesn't make."""
    begin = HEADER.size
    end = begin + int.from_bytes(body[:begin], "big")
    if end > len(body):
        raise ProtocolError("shorter than it says")
    try:
        message = json.loads(body[begin:end], parse_constant=_refuse)
    except (ValueError, RecursionError) as error:
        raise ProtocolError(f"not JSON: {type(error).__name__}") from error
    if not isinstance(message, dict):
        raise ProtocolError("not an object")
    for name, described in _listed(message.pop("columns", {})).items():
        column, size = _column(described)
        if end + size > len(body):
            raise ProtocolError(f"{name}: shorter than it says")
        column.frombytes(body[end : end + size])
        message[name] = column
        end += size
    if end != len(body):
        raise ProtocolError("longer than it says")
    return message


def _listed(columns: object) -> dict[str, object]:
    if not isinstance(columns, dict):
        raise ProtocolError("columns: not an object")
    return columns


def _column(described: object) -> "tuple[array[int] | array[float], int]":
    """An empty column of its kind, and how many bytes it will have."""
    match described:
        case [str(kind), int(count)] if kind in (INTEGERS, FLOATS) and count >= 0:
            column = array(kind)
            return column, count * column.itemsize
    raise ProtocolError("a column of another kind")


def _refuse(constant: str) -> object:
    raise ValueError(constant)
