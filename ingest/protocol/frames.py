"""Encodes and decodes messages between a child process and its parent: four bytes of length, then a body.

A body is four bytes of length, that much JSON, and then the message's columns of numbers, packed one after the other in
the order of the JSON's `columns`. A page is mostly numbers, and as text they would take longer than reading the page.

Never pickle: what the parser's process sends is as hostile as the document it reads.
"""

import json
import struct
from array import array
from collections.abc import Mapping

HEADER = struct.Struct(">I")
NUMBER = struct.Struct("=i")
"""From the template process to the service: a process id, or how that process ended."""
ORDER_BYTES = 128 * 1024
"""The longest order to the template process."""

INTEGERS, FLOATS = "i", "d"
"""The types of columns, by the codes of `array`, in this machine's byte order."""


class ProtocolError(ValueError):
    """A child sent something that a healthy one never sends."""


def encode(message: Mapping[str, object]) -> bytes:
    """Encode a message, length included; its arrays become columns."""
    columns = {name: value for name, value in message.items() if isinstance(value, array)}
    head = {name: value for name, value in message.items() if name not in columns}
    if columns:
        head["columns"] = {name: [column.typecode, len(column)] for name, column in columns.items()}
    text = json.dumps(head, separators=(",", ":")).encode("ascii")
    body = b"".join([HEADER.pack(len(text)), text, *(column.tobytes() for column in columns.values())])
    return HEADER.pack(len(body)) + body


def decode(body: bytes) -> dict[str, object]:
    """Decode a message's body, columns as arrays. Raises ProtocolError for anything that `encode` does not produce."""
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
    """An empty column of the described type, and the number of bytes it will have."""
    match described:
        case [str(kind), int(count)] if kind in (INTEGERS, FLOATS) and count >= 0:
            column = array(kind)
            return column, count * column.itemsize
    raise ProtocolError("a column of another kind")


def _refuse(constant: str) -> object:
    raise ValueError(constant)
