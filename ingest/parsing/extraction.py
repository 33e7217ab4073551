"""Reads an untrusted document in a child process: yields its pages or raises one of `ingest.errors`.

The child has a clean environment and three descriptors: the opened document, a pipe for messages, and stderr
(`parsing.forkserver`). It locks itself in (`sandbox.lockdown`). This side enforces the deadlines, checks every message
(`protocol.page_decoder`), and kills the child on the first invalid one. The child may run ahead by what the pipe holds.

Threads: an Extraction belongs to one thread at a time. Another thread may set the stop event or call `abort`.
"""

import contextlib
import fcntl
import json
import os
import select
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from threading import Event
from types import TracebackType
from typing import NoReturn, Self

from ingest import errors
from ingest.ocr.recogniser import Ocr, ScanPicture
from ingest.ocr.recognition import Recognition
from ingest.parsing.forkserver import PARSERS
from ingest.parsing.opened_file import OpenedFile, open_file
from ingest.protocol import frames
from ingest.protocol.frames import ProtocolError
from ingest.protocol.page_decoder import DAMAGED, decode_info, decode_page, decode_picture_size
from ingest.protocol.page_image import PageDrawing, decode_image
from ingest.sandbox.launch import FROM_OUTSIDE, GRACE_SECONDS, Child, Starter
from ingest.sandbox.limits import GIB, Deadline, Limits
from ingest.types import DocumentInfo, FileIdentity, Page, PageImage

_PIPE_BYTES = 1 << 20
"""How far the child may run ahead: the most that Linux lets an unprivileged process ask for by default."""
_SLICE_SECONDS = 0.1
"""How soon a stop or a missed deadline is noticed. Chosen by eye."""
_ERRORS = {
    kind.code: kind for kind in (errors.BrokenPdf, errors.EncryptedPdf, errors.ParserLimit, errors.UnsupportedType)
}
_CRASH_HINT = "save it again with another PDF program, e.g. `qpdf in.pdf out.pdf`, then replace the file"
_START_HINT = "check that memory and processes are left (`docent doctor`); it is retried automatically"
_DISK_HINT = "check the disk (`dmesg`); it is retried automatically"
_KILLED_HINT = "check that memory is left (`docent doctor`); it is retried automatically"
_STUCK_HINT = "check that the disk responds and the machine is not overloaded; it is retried automatically"
_LIMIT_HINT = "split it into smaller files, or print it to a new PDF"


def open_extraction(
    source: bytes | Path | OpenedFile,
    limits: Limits | None = None,
    *,
    stop: Event | None = None,
    start: Starter = PARSERS.start,
    ocr: Ocr | None = None,
    drawing: PageDrawing | None = None,
) -> "Extraction":
    """Start reading a document; the caller closes the extraction.

    A given OpenedFile stays the caller's to close. `ocr` reads pages without text. With `drawing` no page is read;
    `image()` gives the drawn one.

    Raises the errors of `ingest.errors`, here or while iterating: UnsupportedType, EmptyFile, Unreadable, EncryptedPdf,
    BrokenPdf, ParserCrashed, ParserLimit, ParserKilled, FileChanged, Stopped.
    """
    owned = not isinstance(source, OpenedFile)
    file = source if isinstance(source, OpenedFile) else open_file(source)
    try:
        extraction = Extraction(file, limits or Limits(), stop or Event(), start, owned, ocr, drawing)
    except BaseException:
        if owned:
            file.close()
        raise
    return extraction


class Extraction:
    """A document being read: `info`, `identity`, then its pages, once, by iteration; or `image()` of the page to draw.

    A context manager; `close()` ends the child.
    """

    def __init__(
        self,
        file: OpenedFile,
        limits: Limits,
        stop: Event,
        start: Starter,
        owned: bool,
        ocr: Ocr | None,
        drawing: PageDrawing | None,
    ) -> None:
        self._file = file
        self._owned = owned
        self._limits = limits
        self._stop = stop
        self._left = limits.patience * limits.document_seconds
        self.damaged: list[int] = []
        """Numbers of the pages that could not be read; complete after the last page."""
        self.recognition = Recognition(ocr, limits, self._stop)
        file.check_type()
        if file.identity.size > limits.file_bytes:
            raise errors.ParserLimit(file.what, f"it is larger than {limits.file_bytes / GIB:.1f} GiB", _LIMIT_HINT)
        try:
            self._process = _started(start, file.descriptor, limits, self.recognition.is_possible, drawing)
        except OSError as error:  # no memory or no process left: the file is not the cause
            raise errors.Unreadable(
                file.what, f"its reader process cannot be started ({error.strerror})", _START_HINT
            ) from error
        self._pipe = self._process.output
        try:
            message = self._receive()
            self._expect(message, "info")
            self.info: DocumentInfo = self._decoded_info(message)
            self.sandbox = message.get("sandbox")
        except BaseException:
            self.close()
            raise

    @property
    def identity(self) -> FileIdentity:
        """The file's identity when it was opened."""
        return self._file.identity

    @property
    def what(self) -> str:
        """What is attempted on which file, for errors: "reading a/b.pdf"."""
        return self._file.what

    def sha256(self) -> str:
        """SHA-256 of the file's content in hexadecimal, read through the same descriptor."""
        return self._file.sha256(self._stop)

    def __iter__(self) -> Iterator[Page]:
        for number in range(1, self.info.pages + 1):
            yield self._page(number)
        self._expect(self._receive(), "end")
        self._file.check_unchanged()
        if len(self.damaged) == self.info.pages:
            raise errors.BrokenPdf(self.what, "none of its pages can be read", _CRASH_HINT)

    def _page(self, number: int) -> Page:
        message = self._receive()
        self._expect(message, "page")
        try:
            page = decode_page(message, number, self._limits)
            size = decode_picture_size(message, self._limits)
        except ProtocolError as error:
            self._invalid(error)
        if page.warning == DAMAGED:
            self.damaged.append(number)
        if size is None:
            return page if page.source != "skipped" else self.recognition.skipped(page)
        width, height, dpi = size
        pixels = self._timed(width * height, self._deadline())
        return self.recognition.read(page, ScanPicture(number, width, height, dpi, pixels))

    def image(self) -> PageImage:
        """The page that `drawing` asked for. Raises the same errors as iterating."""
        message = self._receive()
        self._expect(message, "image")
        try:
            image = decode_image(message)
        except ProtocolError as error:
            self._invalid(error)
        self._file.check_unchanged()
        return image

    def abort(self) -> None:
        """End the parser's process, from any thread. A thread that waits for a page gets an error.

        `close()` must still be called.
        """
        self.recognition.abort()
        self._process.kill()

    def close(self) -> None:
        """End the parser's process and free its descriptors. Closing twice does nothing."""
        self.recognition.abort()
        self._process.close()
        self.recognition.close()
        if self._owned:
            self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _decoded_info(self, message: dict[str, object]) -> DocumentInfo:
        try:
            return decode_info(message, self._limits)
        except ProtocolError as error:
            self._invalid(error)

    def _expect(self, message: dict[str, object], kind: str) -> None:
        if message.get("type") == kind:
            return
        if message.get("type") == "error":
            self._file.check_unchanged()
            found = _ERRORS.get(str(message.get("code")), errors.BrokenPdf)
            raise found(self.what, _printable(message.get("why")), _printable(message.get("hint")) or _LIMIT_HINT)
        self._invalid(ProtocolError(f"not a message of the kind {kind}"))

    def _invalid(self, cause: Exception) -> NoReturn:
        raise errors.ParserCrashed(
            self.what, f"its reader process sent an invalid message ({cause})", _CRASH_HINT
        ) from cause

    def _receive(self) -> dict[str, object]:
        """The next message. Only time spent in here counts against the deadlines, not what the caller takes."""
        deadline = self._deadline()
        (length,) = frames.HEADER.unpack(self._timed(frames.HEADER.size, deadline))
        if length > self._limits.message_bytes:
            self._invalid(ProtocolError("a message over the limit"))
        body = self._timed(length, deadline)
        try:
            return frames.decode(body)
        except ProtocolError as error:
            self._invalid(error)

    def _deadline(self) -> Deadline:
        """A deadline for one page. The kernel limits the processor time of the whole document."""
        seconds = self._limits.page_seconds
        return Deadline(self._process.pid, seconds, min(self._limits.patience * seconds, self._left))

    def _timed(self, size: int, deadline: Deadline) -> bytes:
        """Read `size` bytes from the child; the wait counts against the document's time."""
        began = time.monotonic()
        data = self._read(size, deadline)
        self._left -= time.monotonic() - began
        return data

    def _read(self, size: int, deadline: Deadline) -> bytes:
        data = bytearray()
        while len(data) < size:
            self._wait(deadline)
            piece = os.read(self._pipe, size - len(data))
            if not piece:
                self._died()
            data += piece
        return bytes(data)

    def _wait(self, deadline: Deadline) -> None:
        poll = select.poll()
        poll.register(self._pipe, select.POLLIN)
        while True:
            # Checked even when there is something to read: a hostile child may send single bytes for ever.
            if self._stop.is_set():
                raise errors.Stopped(self.what, "the service is stopping")
            if deadline.is_spent():
                raise errors.ParserLimit(self.what, "reading it takes longer than allowed", _LIMIT_HINT)
            if deadline.is_missed():
                raise errors.ParserKilled(self.what, "its reader process makes no progress", _STUCK_HINT)
            if poll.poll(_SLICE_SECONDS * 1000):
                return

    def _died(self) -> NoReturn:
        """Raise the reason why the pipe closed before the last message."""
        status = self._process.wait(GRACE_SECONDS) or 0
        self._file.check_unchanged()
        stderr = self._process.stderr_text(self._limits.stderr_bytes)
        if -status == signal.SIGBUS:  # the file is mapped: a page of it could not be read
            raise errors.Unreadable(self.what, "the disk reported an error while it was being read", _DISK_HINT)
        if -status in FROM_OUTSIDE:
            raise errors.ParserKilled(
                self.what, "its reader process was killed, perhaps because memory ran out", _KILLED_HINT
            )
        if -status == signal.SIGXCPU or "alloc" in stderr or "MemoryError" in stderr:
            raise errors.ParserLimit(self.what, "reading it takes more memory or time than allowed", _LIMIT_HINT)
        ending = signal.Signals(-status).name if status < 0 else f"status {status}"
        error = errors.ParserCrashed(self.what, f"its reader process crashed ({ending})", _CRASH_HINT)
        if stderr:
            error.add_note(stderr)
        raise error


def _started(start: Starter, document: int, limits: Limits, with_pictures: bool, drawing: PageDrawing | None) -> Child:
    arguments = [json.dumps(limits.as_dict()), "pictures" if with_pictures else ""]
    if drawing is not None:
        arguments.append(json.dumps(drawing.as_message()))
    process = start(arguments, document)
    with contextlib.suppress(OSError):
        fcntl.fcntl(process.output, fcntl.F_SETPIPE_SZ, _PIPE_BYTES)
    return process


def _printable(value: object) -> str:
    """The child's text as one printable line of at most 500 characters."""
    text = value if isinstance(value, str) else ""
    return "".join(c if c.isprintable() else " " for c in text[:500]).strip()
