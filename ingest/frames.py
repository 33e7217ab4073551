"""Messages between the parser's process and its parent: four bytes of length, then that much JSON.

Never pickle: what comes out of the parser's process is as hostile as the document it read.
"""

import json
import struct
from collections.abc import Mapping

HEADER = struct.Struct(">I")
NUMBER = struct.Struct("=i")
"""Between the process that parsers are forked from and the service: a process id, or how one ended."""
ORDER_BYTES = 128 * 1024
"""The longest order to that process."""


class ProtocolError(ValueError):
    """The parser's process sent something it never sends when it is well."""


def encode(message: Mapping[str, object]) -> bytes:
    """One message as it travels."""
    body = json.dumps(message, separators=(",", ":")).encode("ascii")
    return HEADER.pack(len(body)) + body


def decode(body: bytes) -> dict[str, object]:
    """A message's body. Raises ProtocolError for anything that is not a JSON object."""
    try:
        message = json.loads(body, parse_constant=_refuse)
    except (ValueError, RecursionError) as error:
        raise ProtocolError(f"not JSON: {type(error).__name__}") from error
    if not isinstance(message, dict):
        raise ProtocolError("not an object")
    return message


def _refuse(constant: str) -> object:
    raise ValueError(constant)
