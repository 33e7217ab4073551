"""Splits a stream of bytes into lines and server-sent events. Pure.

Rule: the buffer of an unfinished line or event is bounded; over the limit is a ValueError.
"""

from models.humanize import amount


class Lines:
    """Splits bytes at line feeds; a line may have at most `limit` bytes."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._rest = bytearray()

    def feed(self, data: bytes) -> list[bytes]:
        """The lines that `data` completes, without line ends. Raises ValueError over the limit."""
        *whole, rest = data.split(b"\n")
        lines = []
        for part in whole:
            lines.append(self._complete(part))
        self._rest += rest
        self._check(len(self._rest))
        return lines

    def finish(self) -> list[bytes]:
        """The last line, if the stream ended without a line feed."""
        return [self._complete(b"")] if self._rest else []

    def _complete(self, part: bytes) -> bytes:
        self._check(len(self._rest) + len(part))
        line = bytes(self._rest) + part
        self._rest.clear()
        return line.removesuffix(b"\r")

    def _check(self, size: int) -> None:
        if size > self._limit:
            raise ValueError(f"a line of more than {amount(self._limit)}")


class ServerSentEvents:
    """Assembles server-sent events from lines: https://html.spec.whatwg.org/multipage/server-sent-events.html

    Ignores comments and all fields but `data`.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._data: list[bytes] = []
        self._size = 0

    def feed(self, line: bytes) -> bytes | None:
        """The data of the event that this line completes, else None. Raises ValueError over the limit."""
        if not line:
            data, self._data, self._size = self._data, [], 0
            return b"\n".join(data) if data else None
        name, _, value = line.partition(b":")
        if name == b"data":
            value = value.removeprefix(b" ")
            self._size += len(value) + 1
            if self._size > self._limit:
                raise ValueError(f"an event of more than {amount(self._limit)}")
            self._data.append(value)
        return None
