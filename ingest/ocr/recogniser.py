"""Recognises the words of page pictures in a child process of its own (`recogniser_main`, `tesseract`).

The process starts with a document's first picture, reads all its pictures and ends with the document. A picture that
crashes it or takes too long costs that page alone (`OcrFailed`); the next page gets a new process. If the process is
killed, cannot be started or makes no progress, the page is retried, and then the whole document later
(`ParserKilled`): a machine short of memory must not lose pages.

Threads: a Recogniser belongs to the thread that uses it first; the kernel kills the process when that thread ends.
"""

import contextlib
import logging
import os
import select
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from threading import BoundedSemaphore, Event
from typing import NoReturn, Self

from ingest.errors import ParserKilled, Stopped
from ingest.ocr.orientation import MOST_READINGS
from ingest.protocol import frames
from ingest.protocol.frames import ProtocolError
from ingest.sandbox import launch
from ingest.sandbox.limits import MIB, Deadline, Limits

_log = logging.getLogger(__name__)
CHILD = launch.command("ocr.recogniser_main")
DATA_FOLDERS = (
    "/usr/share/tesseract-ocr/5/tessdata",
    "/usr/share/tesseract-ocr/4.00/tessdata",
    "/usr/share/tessdata",
    "/usr/local/share/tessdata",
)
_DEBIAN_ENGLISH = "tesseract-ocr"
_SLICE_SECONDS = 0.1
_START_SECONDS = 60.0
"""Processor time for loading the languages. Chosen by eye, like the numbers beside it."""
_KILLS_ALLOWED = 2
_MOST_FAILURES = 3
"""Failures in a row after which no further page of the document is tried."""


class OcrFailed(Exception):
    """The words of one page could not be recognised; `str()` gives the reason in plain words."""


@dataclass(frozen=True, slots=True)
class ScanPicture:
    """A page for text recognition: grey pixels, one byte each, row by row."""

    number: int
    width: int
    height: int
    dpi: int
    pixels: bytes


@dataclass(frozen=True, slots=True)
class OcrSettings:
    """How pages without text are read. `languages` are Tesseract's names ("eng"), the likeliest first."""

    languages: tuple[str, ...] = ("eng",)
    page_seconds: float = 60.0
    """Processor time for reading a page once. Not time by the clock: on a busy machine a page may have to wait, and it
    must not be lost for that."""
    memory_bytes: int = 1024 * MIB
    at_once: int = 1
    """Pages recognised at the same time over all documents, each by one thread."""
    niceness: int = 10
    """Niceness of its process, so that questions are answered first."""
    folders: tuple[str, ...] = DATA_FOLDERS


@dataclass(slots=True)
class Ocr:
    """The text recognition that all documents share; `None` in its place means switched off."""

    settings: OcrSettings = field(default_factory=OcrSettings)
    child: Sequence[str] = CHILD
    _slots: BoundedSemaphore = field(init=False)

    def __post_init__(self) -> None:
        self._slots = BoundedSemaphore(self.settings.at_once)

    def missing(self) -> tuple[str, ...]:
        """The languages that no folder has data for.

        Looks at the disk each time, so installing them is enough.
        """
        return tuple(one for one in self.settings.languages if _folder((one,), self.settings.folders) is None)

    def recogniser(self, limits: Limits, stop: Event) -> "Recogniser":
        """A recogniser for one document."""
        return Recogniser(self.settings, self.child, self._slots, limits, stop)


class Recogniser:
    """Recognises one document's pictures; a context manager."""

    def __init__(
        self, settings: OcrSettings, child: Sequence[str], slots: BoundedSemaphore, limits: Limits, stop: Event
    ) -> None:
        self._settings = settings
        self._child = child
        self._slots = slots
        self._limits = limits
        self._stop = stop
        self._process: subprocess.Popen[bytes] | None = None
        self._failures = 0
        self._given_up = ""
        self._aborted = Event()
        self.sandbox: object = None
        """How the process is locked in, as it reports itself; None before it has started."""
        self.version = ""

    def read(self, picture: ScanPicture) -> dict[str, object]:
        """The page's message, unchecked (see `page_decoder.decode_page`).

        Raises OcrFailed, ParserKilled, Stopped.
        """
        if self._given_up:
            raise OcrFailed(self._given_up)
        while not self._slots.acquire(timeout=_SLICE_SECONDS):
            self._check_stop()
        try:
            message = self._recognise_with_retries(picture)
        except OcrFailed as error:
            self.close()
            self._failures += 1
            if self._failures >= _MOST_FAILURES and not self._given_up:
                self._given_up = f"skipped because {_MOST_FAILURES} pages in a row failed: {error}"
            raise
        finally:
            self._slots.release()
        self._failures = 0
        return message

    def start(self) -> None:
        """Start the process unless it runs. Raises OcrFailed, ParserKilled, Stopped."""
        if self._process is not None:
            return
        languages, folders = self._settings.languages, self._settings.folders
        folder = _folder(languages, folders)
        if folder is None:
            self._give_up(f"no folder has the language data for all of {', '.join(languages)}")
        try:
            numbers = (str(self._settings.memory_bytes), str(self._settings.niceness))
            self._process = launch.start(self._child, (folder, "+".join(languages), *numbers), subprocess.PIPE)
        except OSError as error:
            raise _killed(f"text recognition cannot be started ({error.strerror})") from error
        assert self._process.stdin is not None
        os.set_blocking(self._process.stdin.fileno(), False)
        message = self._receive(self._deadline(_START_SECONDS))
        if message.get("type") == "missing":
            self._give_up("Tesseract's library or language data cannot be used")
        if message.get("type") != "ready":
            raise OcrFailed("text recognition sent an invalid reply")
        self.sandbox, self.version = message.get("sandbox"), str(message.get("version"))[:40]

    def abort(self) -> None:
        """End a wait for a page's words, from any thread; `close()` must still be called."""
        self._aborted.set()

    def close(self) -> None:
        """End the process. Closing twice does nothing."""
        process, self._process = self._process, None
        if process is None:
            return
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        process.wait()
        assert process.stderr is not None
        if stderr := launch.stderr_text(process.stderr.fileno(), self._limits.stderr_bytes):
            _log.debug("text recognition wrote to stderr: %s", stderr)
        for stream in (process.stdin, process.stdout, process.stderr):
            if stream is not None:
                with contextlib.suppress(BrokenPipeError):
                    stream.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _recognise_with_retries(self, picture: ScanPicture) -> dict[str, object]:
        for _ in range(_KILLS_ALLOWED):
            try:
                return self._recognise(picture)
            except ParserKilled as error:
                _log.warning("%s on page %d; retrying", error.why, picture.number)
                self.close()
        return self._recognise(picture)

    def _recognise(self, picture: ScanPicture) -> dict[str, object]:
        self.start()
        deadline = self._deadline(MOST_READINGS * self._settings.page_seconds)
        sizes = {"number": picture.number, "width": picture.width, "height": picture.height, "dpi": picture.dpi}
        self._send(frames.encode(sizes), deadline)
        self._send(picture.pixels, deadline)
        message = self._receive(deadline)
        if message.get("type") != "page":
            raise OcrFailed("recognising its text takes more memory than allowed")
        return message

    def _send(self, data: bytes, deadline: Deadline) -> None:
        process = self._running()
        assert process.stdin is not None
        pipe, rest = process.stdin.fileno(), memoryview(data)
        while rest:
            self._wait(pipe, select.POLLOUT, deadline)
            try:
                rest = rest[os.write(pipe, rest) :]
            except BlockingIOError:
                continue
            except BrokenPipeError:
                self._died()

    def _receive(self, deadline: Deadline) -> dict[str, object]:
        (length,) = frames.HEADER.unpack(self._read(frames.HEADER.size, deadline))
        if length > self._limits.message_bytes:
            raise OcrFailed("text recognition sent a larger reply than allowed")
        try:
            return frames.decode(self._read(length, deadline))
        except ProtocolError as error:
            raise OcrFailed("text recognition sent an invalid reply") from error

    def _read(self, size: int, deadline: Deadline) -> bytes:
        process = self._running()
        assert process.stdout is not None
        data = bytearray()
        while len(data) < size:
            self._wait(process.stdout.fileno(), select.POLLIN, deadline)
            piece = os.read(process.stdout.fileno(), size - len(data))
            if not piece:
                self._died()
            data += piece
        return bytes(data)

    def _wait(self, descriptor: int, event: int, deadline: Deadline) -> None:
        poll = select.poll()
        poll.register(descriptor, event)
        while True:
            self._check_stop()
            if deadline.is_spent():
                raise OcrFailed("recognising its text takes longer than allowed")
            if deadline.is_missed():
                raise _killed("text recognition makes no progress")
            if poll.poll(_SLICE_SECONDS * 1000):
                return

    def _deadline(self, seconds: float) -> Deadline:
        return Deadline(self._running().pid, seconds)

    def _running(self) -> subprocess.Popen[bytes]:
        assert self._process is not None
        return self._process

    def _died(self) -> NoReturn:
        with contextlib.suppress(subprocess.TimeoutExpired):
            if -self._running().wait(launch.GRACE_SECONDS) in launch.FROM_OUTSIDE:
                raise _killed("text recognition was killed, perhaps because memory ran out")
        raise OcrFailed("text recognition crashed on it")

    def _give_up(self, why: str) -> NoReturn:
        self._given_up = why
        raise OcrFailed(why)

    def _check_stop(self) -> None:
        if self._stop.is_set() or self._aborted.is_set():
            raise Stopped("recognising text", "the service is stopping")


def _killed(why: str) -> ParserKilled:
    return ParserKilled(
        "recognising text", why, "check that memory is left (`docent doctor`); it is retried automatically"
    )


def probe(ocr: Ocr) -> tuple[str, object]:
    """Tesseract's version and how its process is locked in, from a real start. Raises OcrFailed."""
    with ocr.recogniser(Limits(), Event()) as recogniser:
        recogniser.start()
        return recogniser.version, recogniser.sandbox


def packages(languages: Sequence[str]) -> str:
    """The Debian packages that provide these languages, for hints.

    >>> packages(["eng", "deu"])
    'tesseract-ocr tesseract-ocr-deu'
    """
    others = [
        f"{_DEBIAN_ENGLISH}-{one.replace('_', '-').lower()}" for one in languages if one != "eng" and "/" not in one
    ]
    return " ".join([_DEBIAN_ENGLISH, *others])


def _folder(languages: Sequence[str], folders: Sequence[str]) -> str | None:
    """The first folder with the data of all these languages."""
    return next(
        (f for f in folders if all((Path(f) / f"{language}.traineddata").is_file() for language in languages)), None
    )
