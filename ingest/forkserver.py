"""Parsers by the hundred: forked from one process that has loaded their libraries, as starting each by exec costs as much
processor time as embedding eight passages.

The template process (`forkserver_child`) is started by exec, for the first document; it never looks at one, so a parser
inherits nothing of another document. It ends when no parser has run for a while, and a new one is started when needed.

Threads: everything here may be called from any thread.
"""

import contextlib
import errno
import json
import logging
import os
import queue
import socket
import subprocess
import threading
from collections.abc import Sequence

from ingest import launch
from ingest.frames import NUMBER, ORDER_BYTES

_log = logging.getLogger(__name__)
COMMAND = launch.command("forkserver_child")
_IDLE_SECONDS = 60.0
_START_SECONDS = 120.0
_KILLED = -9
_NOBODY_THERE = (errno.EPIPE, errno.ECONNRESET, errno.EBADF, errno.ENOTCONN)


class Forked:
    """A parser's process, as `launch.Executed` is one; the template process kills it and tells how it ended."""

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

    def __init__(self, command: Sequence[str] = COMMAND, idle_seconds: float = _IDLE_SECONDS) -> None:
        self._command = command
        self._idle_seconds = idle_seconds
        self._lock = threading.Lock()
        self._control: socket.socket | None = None  # guarded by _lock, as is the next
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
        raise OSError(errno.ECHILD, "the process that readers are forked from does not start")

    def close(self) -> None:
        """End the template process and the parsers it has; the next `start` starts another."""
        with self._lock:
            control, self._control, watcher = self._control, None, self._watcher
        if control is not None:
            control.close()
        if watcher is not None:
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
                teller.settimeout(_START_SECONDS)
                answer = teller.recv(NUMBER.size)
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

    def _forget(self, control: socket.socket) -> None:
        with self._lock:
            if self._control is control:
                self._control = None
        control.close()

    def _started(self) -> socket.socket:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        started: queue.SimpleQueue[OSError | None] = queue.SimpleQueue()
        # The kernel kills it when the thread that started it ends, so that thread waits for its end.
        self._watcher = threading.Thread(
            target=self._watch, args=(ours, theirs, started), name="docent-forkserver", daemon=True
        )
        self._watcher.start()
        error = started.get()
        if error is not None:
            ours.close()
            raise error
        return ours

    def _watch(self, ours: socket.socket, theirs: socket.socket, started: "queue.SimpleQueue[OSError | None]") -> None:
        with theirs:
            try:
                process = launch.start(self._command, (str(self._idle_seconds),), theirs.fileno(), subprocess.DEVNULL)
            except OSError as error:
                started.put(error)
                return
        started.put(None)
        status = process.wait()
        if status:
            _log.warning("the process that readers are forked from ended (%s); it is started again when needed", status)
        self._forget(ours)


PARSERS = ForkServer()
"""The one of this process."""
