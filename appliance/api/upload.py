"""Streams a multipart upload into the library, to a hidden temporary name there and nowhere else.

Starlette's own parser spools to /tmp first, which under systemd may be memory, and copies a 4 GB file twice. The
watcher ignores hidden names, so it does not see the file before `Library.publish` renames it.
"""

import contextlib
import os
import tempfile
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import anyio
from python_multipart.exceptions import MultipartParseError
from python_multipart.multipart import MultipartParser, parse_options_header

from appliance.display.humanize import amount
from appliance.errors import InvalidRequest, StoreFull, TooLarge
from appliance.library.folder import set_file_mode

if TYPE_CHECKING:
    from python_multipart.multipart import MultipartCallbacks

TEMPORARY_PREFIX = b".docent-upload-"
_FIELDS = {"collection", "replace", "name"}
_MAX_FIELD_BYTES = 65_536  # chosen by eye; a path has at most 4,096 bytes
_MAX_HEADER_BYTES = 16_384  # chosen by eye
_WHAT = "adding a document"
_HINT = "send multipart/form-data with the fields file, collection, replace and name, as `docent add` does"


@dataclass
class Form:
    """The fields of an upload; `file` is the temporary file's path, `name` the file name that the client sent."""

    fields: dict[str, str]
    file: bytes | None = None
    name: bytes = b""
    size: int = 0


class _Receiver:
    """Callbacks of the multipart parser; holds at most one field or header in memory."""

    def __init__(self, folder: bytes, limit: int) -> None:
        self.form = Form({})
        self._folder, self._limit = folder, limit
        self._header = [bytearray(), bytearray()]
        self._headers: dict[bytes, bytes] = {}
        self._part = ""
        self._value: bytearray | None = None
        self._descriptor = -1
        self.ended = False

    def callbacks(self) -> "MultipartCallbacks":
        """Return the callbacks for the parser."""
        return {
            "on_part_begin": self._part_begin,
            "on_header_field": self._header_field,
            "on_header_value": self._header_value,
            "on_header_end": self._header_end,
            "on_headers_finished": self._headers_finished,
            "on_part_data": self._part_data,
            "on_part_end": self._part_end,
            "on_end": self._end,
        }

    def _part_begin(self) -> None:
        self._headers = {}

    def _header_field(self, data: bytes, start: int, end: int) -> None:
        self._grow(self._header[0], data[start:end], _MAX_HEADER_BYTES)

    def _header_value(self, data: bytes, start: int, end: int) -> None:
        self._grow(self._header[1], data[start:end], _MAX_HEADER_BYTES)

    def _header_end(self) -> None:
        self._headers[bytes(self._header[0]).lower()] = bytes(self._header[1])
        self._header = [bytearray(), bytearray()]

    def _headers_finished(self) -> None:
        _, options = parse_options_header(self._headers.get(b"content-disposition", b""))
        self._part = options.get(b"name", b"").decode("utf-8", "replace")
        if b"filename" not in options:
            if self._part not in _FIELDS or self._part in self.form.fields:
                # Never ignore a field: a misspelt `collection` must not put a file where everyone may see it.
                why = f"the field {self._part[:80]!r} is unknown, or was sent twice"
                raise InvalidRequest(_WHAT, why, _HINT)
            self._value = bytearray()
            return
        if self._part != "file" or self.form.file is not None:
            raise InvalidRequest(_WHAT, "it must contain exactly one file, in the field `file`", _HINT)
        self.form.name = options[b"filename"]
        prefix = os.fsdecode(TEMPORARY_PREFIX)
        try:
            self._descriptor, path = tempfile.mkstemp(prefix=prefix, dir=os.fsdecode(self._folder))
        except OSError as error:
            raise _disk_error(error) from error
        self.form.file = os.fsencode(path)

    def _part_data(self, data: bytes, start: int, end: int) -> None:
        piece = data[start:end]
        if self._value is not None:
            self._grow(self._value, piece, _MAX_FIELD_BYTES)
            return
        self.form.size += len(piece)
        if self.form.size > self._limit:
            hint = "raise max_upload_bytes in [library], or copy the file into the library folder yourself"
            raise TooLarge(_WHAT, f"the file is larger than {amount(self._limit)}", hint)
        _write_all(self._descriptor, piece)

    def _part_end(self) -> None:
        if self._value is not None:
            self.form.fields[self._part] = self._value.decode("utf-8", "surrogateescape")
            self._value = None
        else:
            self._close(sync=True)

    def _end(self) -> None:
        self.ended = True

    def require_complete(self) -> None:
        """Raise `InvalidRequest` unless a file and then the closing boundary were received."""
        if not self.ended or self.form.file is None:
            raise InvalidRequest(_WHAT, "there is no complete file in the request", _HINT)

    def _grow(self, buffer: bytearray, piece: bytes, limit: int) -> None:
        if len(buffer) + len(piece) > limit:
            raise InvalidRequest(_WHAT, f"a field or header is longer than {amount(limit)}", _HINT)
        buffer += piece

    def _close(self, *, sync: bool) -> None:
        if self._descriptor < 0:
            return
        descriptor, self._descriptor = self._descriptor, -1
        try:
            if sync:
                set_file_mode(descriptor)
                os.fsync(descriptor)
        except OSError as error:
            raise _disk_error(error) from error
        finally:
            os.close(descriptor)

    def discard(self) -> None:
        """Close and remove the temporary file."""
        self._close(sync=False)
        discard(self.form)


def _write_all(descriptor: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        try:
            view = view[os.write(descriptor, view) :]
        except OSError as error:
            raise _disk_error(error) from error


def _disk_error(error: OSError) -> StoreFull:
    return StoreFull(_WHAT, error.strerror or str(error), "free some space on the library's disk, then add it again")


async def receive(
    body: AsyncIterator[bytes],
    content_type: str,
    folder: bytes,
    limit: int,
    blocking: Callable[..., Any],
) -> Form:
    """Parse the body into a form; its file is in `folder` under a hidden name, synced to disk.

    `blocking(function, *arguments)` awaits a blocking call off the event loop.

    Raises:
        InvalidRequest: the body is not a well-formed upload of one file.
        TooLarge: the file is larger than `limit` bytes.
        StoreFull: the disk is full, or writing fails for another reason.
    """
    kind, options = parse_options_header(content_type)
    if kind != b"multipart/form-data" or b"boundary" not in options:
        raise InvalidRequest(_WHAT, f"the content type is {content_type or 'missing'!r}", _HINT)
    receiver = _Receiver(folder, limit)
    parser = MultipartParser(options[b"boundary"], receiver.callbacks())
    try:
        async for piece in body:
            await blocking(parser.write, piece)
        receiver.require_complete()
    except BaseException as error:  # BaseException: a cancelled upload must not leave its temporary file behind either
        with anyio.CancelScope(shield=True):
            await blocking(receiver.discard)
        if isinstance(error, MultipartParseError):
            raise InvalidRequest(_WHAT, f"not well-formed multipart: {error}", _HINT) from None
        raise
    return receiver.form


def discard(form: Form) -> None:
    """Remove the temporary file of a form that was not published."""
    if form.file is not None:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(form.file)
