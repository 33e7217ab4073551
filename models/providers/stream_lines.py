"""Lines and events out of the bytes of a stream. Pure.

Rule: what waits for its end is bounded, whatever is sent; over the limit is a ValueError, never a growing buffer.
"""


class Lines:
    """Splits bytes at line feeds; a line may have at most `limit` bytes."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._rest = bytearray()

    def feed(self, data: bytes) -> list[bytes]:
        """The lines that `data` completes, without their ends. Raises ValueError over the limit."""
        *whole, rest = data.split(b"\n")
        lines = []
        for part in whole:
            lines.append(self._complete(part))
        self._rest += rest
        self._check(len(self._rest))
        return lines

    def finish(self) -> list[bytes]:
        """What is left when the stream has ended: a line without an end, if any."""
        return [self._complete(b"")] if self._rest else []

    def _complete(self, part: bytes) -> bytes:
        self._check(len(self._rest) + len(part))
        line = bytes(self._rest) + part
        self._rest.clear()
        return line.removesuffix(b"\r")

    def _check(self, size: int) -> None:
        if size > self._limit:
            raise ValueError(f"a line of more than {self._limit} bytes")


class ServerSentEvents:
    """The data of server-sent events, from their lines (https://html.spec.whatwg.org/multipage/server-sent-events.html).

    Comments and all fields but `data` are passed over.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._data: list[bytes] = []
        self._size = 0

    def feed(self, line: bytes) -> bytes | None:
        """The event's data that this line completes, if it does. Raises ValueError over the limit."""
        if not line:
            data, self._data, self._size = self._data, [], 0
            return b"\n".join(data) if data else None
        name, _, value = line.partition(b":")
        if name == b"data":
            value = value.removeprefix(b" ")
            self._size += len(value) + 1
            if self._size > self._limit:
                raise ValueError(f"an event of more than {self._limit} bytes")
            self._data.append(value)
        return None
