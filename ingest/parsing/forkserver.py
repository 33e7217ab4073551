"""Parsers by the hundred: forked from one process that has loaded their libraries, as starting each by exec costs as much
processor time as embedding eight passages.

The template process (`forkserver_main`) is started by exec, for the first document; it never looks at one, so a parser
inherits nothing of another document. It ends when no parser has run for a while, and a new one is started when needed.

Threads: everything here may be called from any thread.
"""

import contextlib
import errno
import json
import logging
import os
import queue
import signal
import socket
import subprocess
import threading
from collections.abc import Sequence

from ingest.protocol.frames import NUMBER, ORDER_BYTES
from ingest.sandbox import launch

_log = logging.getLogger(__name__)
COMMAND = launch.command("parsing.forkserver_main")
_IDLE_SECONDS = 60.0
_ANSWER_SECONDS = 60.0
_KILLED = -9
_NOBODY_THERE = (errno.EPIPE, errno.ECONNRESET, errno.EBADF, errno.ENOTCONN)


class Forked:
    """A parser's process (`launch.Child`); the template process kills it and tells how it ended."""

    def __init__(self, pid: int, teller: socket.socket, output: int, complaints: int) -> None:
        self.pid = pid
        self.output = output
        self.returncode: int | None = None
        self._teller = teller
        self._complaints = complaints
        self._closing = threading.Lock()
        self._is_closed = False

    def kill(self) -> None:
        with contextlib.suppress(OSError):  # closed already, or the template process is gone and the parser with it
            self._teller.shutdown(socket.SHUT_WR)

    def wait(self, seconds: float) -> int | None:
        if self.returncode is None:
            try:
                self._teller.settimeout(seconds)
                told = self._teller.recv(NUMBER.size)
            except TimeoutError:
                return None
            except OSError:
                told = b""
            self.returncode = NUMBER.unpack(told)[0] if told else _KILLED
        return self.returncode

    def complaint(self, most: int) -> str:
        return launch.complaint(self._complaints, most)

    def close(self) -> None:
        with self._closing:
            if self._is_closed:
                return
            self._is_closed = True
        self.kill()
        self.wait(launch.GRACE_SECONDS)
        self._teller.close()
        os.close(self.output)
        os.close(self._complaints)


class ForkServer:
    """Starts parsers; the template process behind it comes and goes."""

    def __init__(
        self,
        command: Sequence[str] = COMMAND,
        idle_seconds: float = _IDLE_SECONDS,
        answer_seconds: float = _ANSWER_SECONDS,
    ) -> None:
        """A template that does not answer an order within `answer_seconds` is ended."""
        self._command = command
        self._idle_seconds = idle_seconds
        self._answer_seconds = answer_seconds
        self._lock = threading.Lock()
        self._control: socket.socket | None = None  # guarded by _lock, as is the next
        self._process: subprocess.Popen[bytes] | None = None
        self._watcher: threading.Thread | None = None

    def start(self, arguments: Sequence[str], document: int) -> Forked:
        """A parser of the opened document. Raises OSError."""
        order = json.dumps(arguments).encode("ascii")
        if len(order) > ORDER_BYTES:
            raise OSError(errno.E2BIG, os.strerror(errno.E2BIG))
        for _ in range(2):
            control = self._connected()
            forked = self._ordered(control, order, document)
            if forked is not None:
                return forked
            self._forget(control)  # it ended, for want of work or killed, before it took the order
        raise OSError(errno.ECHILD, "the process that readers are forked from ended twice before it took the order")

    def close(self) -> None:
        """End the template process and the parsers it has; the next `start` starts another."""
        with self._lock:
            control, self._control, watcher, process = self._control, None, self._watcher, self._process
        if control is not None:
            control.close()
        if watcher is not None and process is not None:
            watcher.join(launch.GRACE_SECONDS)
            if watcher.is_alive():
                process.kill()
                watcher.join(launch.GRACE_SECONDS)

    def _ordered(self, control: socket.socket, order: bytes, document: int) -> Forked | None:
        """None: there is nobody to take orders any more."""
        with contextlib.ExitStack() as theirs, contextlib.ExitStack() as ours:
            teller, told = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            ours.callback(teller.close)
            theirs.callback(told.close)
            pipes = []
            for _ in range(2):
                reading, writing = os.pipe()
                ours.callback(os.close, reading)
                theirs.callback(os.close, writing)
                pipes.append((reading, writing))
            (output, output_end), (complaints, complaints_end) = pipes
            os.set_blocking(complaints, False)
            try:
                socket.send_fds(control, [order], [document, output_end, complaints_end, told.fileno()])
                theirs.close()
                teller.settimeout(self._answer_seconds)
                answer = teller.recv(NUMBER.size)
            except TimeoutError:
                self._end(control)
                raise OSError(errno.ETIMEDOUT, "the process that readers are forked from does not answer") from None
            except OSError as error:
                if error.errno in _NOBODY_THERE:
                    return None
                raise
            if not answer:
                return None
            (number,) = NUMBER.unpack(answer)
            if number < 0:
                raise OSError(-number, os.strerror(-number))
            ours.pop_all()
            return Forked(number, teller, output, complaints)

    def _connected(self) -> socket.socket:
        with self._lock:
            if self._control is None:
                self._control = self._started()
            return self._control

    def _end(self, control: socket.socket) -> None:
        """Kill the template behind this connection, and with it its parsers."""
        with self._lock:
            process = self._process if self._control is control else None
        if process is not None:
            process.kill()
        self._forget(control)

    def _forget(self, control: socket.socket) -> None:
        with self._lock:
            if self._control is control:
                self._control = None
        control.close()

    def _started(self) -> socket.socket:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        ours.settimeout(self._answer_seconds)  # for sending: the buffer of one that takes no orders fills up
        started: queue.SimpleQueue[subprocess.Popen[bytes] | BaseException] = queue.SimpleQueue()
        # The kernel kills it when the thread that started it ends, so that thread waits for its end.
        watcher = threading.Thread(
            target=self._watch, args=(ours, theirs, started), name="docent-forkserver", daemon=True
        )
        try:
            watcher.start()
            found = started.get()
        except RuntimeError as error:
            theirs.close()
            found = OSError(errno.EAGAIN, str(error))
        if isinstance(found, BaseException):
            ours.close()
            raise found
        self._process, self._watcher = found, watcher
        return ours

    def _watch(
        self,
        ours: socket.socket,
        theirs: socket.socket,
        started: "queue.SimpleQueue[subprocess.Popen[bytes] | BaseException]",
    ) -> None:
        with theirs:
            try:
                process = launch.start(self._command, (str(self._idle_seconds),), theirs.fileno(), subprocess.DEVNULL)
            except BaseException as error:  # noqa: BLE001  # raised again in the thread that waits for the start
                started.put(error)
                return
        started.put(process)
        if status := process.wait():
            ending = signal.Signals(-status).name if status < 0 else f"status {status}"
            _log.warning("the process that readers are forked from ended (%s); it is started again when needed", ending)
        self._forget(ours)


PARSERS = ForkServer()
"""The one of this process."""
