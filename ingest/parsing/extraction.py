"""Untrusted parsing in a process of its own: a file -> its pages, or one of `errors`, whatever the file does.

The process has a clean environment and three descriptors: the opened document, a pipe for messages, a pipe for
complaints (`forkserver`). It locks itself in (`child`, `limits`, `landlock`, `seccomp`); this side holds the deadlines,
checks every message (`pages`), and kills it on the first odd one. It may run ahead by what the pipe holds.

Threads: an Extraction belongs to one thread at a time. Another one may set the stop event, or call `abort`.
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
from ingest.ocr.recogniser import Ocr, Picture
from ingest.ocr.recognition import Recognition
from ingest.parsing.forkserver import PARSERS
from ingest.parsing.opened_file import OpenedFile, open_file
from ingest.protocol import frames
from ingest.protocol.frames import ProtocolError
from ingest.protocol.page_decoder import DAMAGED, decode_info, decode_page, decode_picture_size
from ingest.protocol.page_image import Drawing, decode_image
from ingest.sandbox.launch import FROM_OUTSIDE, GRACE_SECONDS, Child, Starter
from ingest.sandbox.limits import Deadline, Limits
from ingest.types import DocumentInfo, FileIdentity, Page, PageImage

_PIPE_BYTES = 1 << 20
_SLICE_SECONDS = 0.1
_ERRORS = {
    kind.code: kind for kind in (errors.BrokenPdf, errors.EncryptedPdf, errors.ParserLimit, errors.UnsupportedType)
}
_CRASH_HINT = "open and save it again with another PDF program, e.g. `qpdf in.pdf out.pdf`, then drop it again"
_START_HINT = "see whether memory and processes are left (`docent doctor`); it is tried again"
_DISK_HINT = "check the disk (dmesg); it is tried again by itself"
_KILLED_HINT = "see whether memory is left (`docent doctor`); it is tried again by itself"
_STUCK_HINT = "see whether the disk answers and the machine is not overloaded; it is tried again by itself"
_LIMIT_HINT = "split it into smaller files, or print it to PDF anew"


def open_extraction(
    source: bytes | Path | OpenedFile,
    limits: Limits | None = None,
    *,
    stop: Event | None = None,
    start: Starter = PARSERS.start,
    ocr: Ocr | None = None,
    drawing: Drawing | None = None,
) -> "Extraction":
    """Start reading a document. A given OpenedFile stays the caller's to close. Pages without text are read by `ocr`.
    With `drawing`, no page is read; that one is drawn.

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
    """A document being read: `info`, `identity`, and its pages once by iteration, or `image()` of the page to be drawn.
    A context manager; `close()` ends it."""

    def __init__(
        self,
        file: OpenedFile,
        limits: Limits,
        stop: Event,
        start: Starter,
        owned: bool,
        ocr: Ocr | None,
        drawing: Drawing | None,
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
            raise errors.ParserLimit(file.what, f"it is larger than {limits.file_bytes} bytes", _LIMIT_HINT)
        try:
            self._process = _started(start, file.descriptor, limits, self.recognition.is_possible, drawing)
        except OSError as error:  # no memory or no process left: not the file's fault
            raise errors.Unreadable(
                file.what, f"its reader cannot be started ({error.strerror})", _START_HINT
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
        """The file's, when it was opened."""
        return self._file.identity

    @property
    def what(self) -> str:
        """What is being done on which file, for errors."""
        return self._file.what

    def sha256(self) -> str:
        """Hash of the file's content, read from the same descriptor."""
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
            self._nonsense(error)
        if page.warning == DAMAGED:
            self.damaged.append(number)
        if size is None:
            return page if page.source != "skipped" else self.recognition.skipped(page)
        width, height, dpi = size
        pixels = self._timed(width * height, self._deadline())
        return self.recognition.read(page, Picture(number, width, height, dpi, pixels))

    def image(self) -> PageImage:
        """The page that was to be drawn. Raises as iterating does."""
        message = self._receive()
        self._expect(message, "image")
        try:
            image = decode_image(message)
        except ProtocolError as error:
            self._nonsense(error)
        self._file.check_unchanged()
        return image

    def abort(self) -> None:
        """End the parser's process, from any thread; a reader waiting for a page gets an error. `close()` is still due."""
        self.recognition.abort()
        self._process.kill()

    def close(self) -> None:
        """End the parser's process and free its descriptors; a second call does nothing."""
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
            self._nonsense(error)

    def _expect(self, message: dict[str, object], kind: str) -> None:
        if message.get("type") == kind:
            return
        if message.get("type") == "error":
            self._file.check_unchanged()
            found = _ERRORS.get(str(message.get("code")), errors.BrokenPdf)
            raise found(self.what, _line(message.get("why")), _line(message.get("hint")) or _LIMIT_HINT)
        self._nonsense(ProtocolError(f"not a message of the kind {kind}"))

    def _nonsense(self, cause: Exception) -> NoReturn:
        raise errors.ParserCrashed(self.what, f"its reader sent nonsense ({cause})", _CRASH_HINT) from cause

    def _receive(self) -> dict[str, object]:
        """The next message. Time spent in here counts against the deadlines, time the caller takes does not."""
        deadline = self._deadline()
        (length,) = frames.HEADER.unpack(self._timed(frames.HEADER.size, deadline))
        if length > self._limits.message_bytes:
            self._nonsense(ProtocolError("a message over the limit"))
        body = self._timed(length, deadline)
        try:
            return frames.decode(body)
        except ProtocolError as error:
            self._nonsense(error)

    def _deadline(self) -> Deadline:
        """For one page; the processor time for the whole document is limited by the kernel."""
        seconds = self._limits.page_seconds
        return Deadline(self._process.pid, seconds, min(self._limits.patience * seconds, self._left))

    def _timed(self, size: int, deadline: Deadline) -> bytes:
        """So many bytes of the child's, the wait for them counted."""
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
            # Checked even when there is something to read: a hostile child may send a byte now and then.
            if self._stop.is_set():
                raise errors.Stopped(self.what, "the service is stopping")
            if deadline.is_spent():
                raise errors.ParserLimit(self.what, "reading it takes longer than is allowed", _LIMIT_HINT)
            if deadline.is_missed():
                raise errors.ParserKilled(self.what, "its reader does not get on", _STUCK_HINT)
            if poll.poll(_SLICE_SECONDS * 1000):
                return

    def _died(self) -> NoReturn:
        """The pipe closed before the end: say why."""
        status = self._process.wait(GRACE_SECONDS) or 0
        self._file.check_unchanged()
        complaint = self._process.complaint(self._limits.stderr_bytes)
        if -status == signal.SIGBUS:  # the file is mapped: a page of it could not be read
            raise errors.Unreadable(self.what, "the disk reported an error while it was read", _DISK_HINT)
        if -status in FROM_OUTSIDE:
            raise errors.ParserKilled(self.what, "its reader was killed, perhaps as memory was short", _KILLED_HINT)
        if -status == signal.SIGXCPU or "alloc" in complaint or "MemoryError" in complaint:
            raise errors.ParserLimit(self.what, "reading it takes more memory or time than is allowed", _LIMIT_HINT)
        ending = signal.Signals(-status).name if status < 0 else f"status {status}"
        error = errors.ParserCrashed(self.what, f"its reader died ({ending})", _CRASH_HINT)
        if complaint:
            error.add_note(complaint)
        raise error


def _started(start: Starter, document: int, limits: Limits, pictures: bool, drawing: Drawing | None) -> Child:
    arguments = [json.dumps(limits.as_dict()), "pictures" if pictures else ""]
    if drawing is not None:
        arguments.append(json.dumps(drawing.as_message()))
    process = start(arguments, document)
    with contextlib.suppress(OSError):
        fcntl.fcntl(process.output, fcntl.F_SETPIPE_SZ, _PIPE_BYTES)
    return process


def _line(value: object) -> str:
    """A text of the child's as one printable line of bounded length."""
    text = value if isinstance(value, str) else ""
    return "".join(c if c.isprintable() else " " for c in text[:500]).strip()
