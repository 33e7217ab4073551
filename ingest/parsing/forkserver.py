"""Starts parsers by forking them from a template process that has already loaded their libraries.

Starting each parser by exec costs as much processor time as embedding eight passages. The template
(`forkserver_main`) is started by exec for the first document and never looks at one, so a parser inherits nothing of
another document. It exits when no parser has run for a while; the next start brings up a new one.

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
_ANSWER_SECONDS = 60.0  # both chosen by eye; a busy machine may take long to load the libraries
_KILLED = -9
_GONE = (errno.EPIPE, errno.ECONNRESET, errno.EBADF, errno.ENOTCONN)


class Forked:
    """A parser's process (`launch.Child`). The template process kills it and reports how it ended."""

    def __init__(self, pid: int, status_socket: socket.socket, output: int, stderr: int) -> None:
        self.pid = pid
        self.output = output
        self.returncode: int | None = None
        self._status_socket = status_socket
        self._stderr = stderr
        self._closing = threading.Lock()
        self._is_closed = False

    def kill(self) -> None:
        with contextlib.suppress(OSError):  # closed already, or the template process is gone and the parser with it
            self._status_socket.shutdown(socket.SHUT_WR)

    def wait(self, seconds: float) -> int | None:
        if self.returncode is None:
            try:
                self._status_socket.settimeout(seconds)
                status = self._status_socket.recv(NUMBER.size)
            except TimeoutError:
                return None
            except OSError:
                status = b""
            self.returncode = NUMBER.unpack(status)[0] if status else _KILLED
        return self.returncode

    def stderr_text(self, most: int) -> str:
        return launch.stderr_text(self._stderr, most)

    def close(self) -> None:
        with self._closing:
            if self._is_closed:
                return
            self._is_closed = True
        self.kill()
        self.wait(launch.GRACE_SECONDS)
        self._status_socket.close()
        os.close(self.output)
        os.close(self._stderr)


class ForkServer:
    """Starts parsers; starts and restarts the template process behind it as needed."""

    def __init__(
        self,
        command: Sequence[str] = COMMAND,
        idle_seconds: float = _IDLE_SECONDS,
        answer_seconds: float = _ANSWER_SECONDS,
    ) -> None:
        """A template that does not answer an order within `answer_seconds` is killed."""
        self._command = command
        self._idle_seconds = idle_seconds
        self._answer_seconds = answer_seconds
        self._lock = threading.Lock()
        self._control: socket.socket | None = None  # guarded by _lock, as is the next
        self._process: subprocess.Popen[bytes] | None = None
        self._watcher: threading.Thread | None = None

    def start(self, arguments: Sequence[str], document: int) -> Forked:
        """Start a parser of the opened document. Raises OSError."""
        order = json.dumps(arguments).encode("ascii")
        if len(order) > ORDER_BYTES:
            raise OSError(errno.E2BIG, os.strerror(errno.E2BIG))
        for _ in range(2):
            control = self._connected()
            forked = self._ordered(control, order, document)
            if forked is not None:
                return forked
            self._forget(control)  # it exited, idle or killed, before it took the order
        raise OSError(errno.ECHILD, "the process that starts readers ended twice before it took the order")

    def close(self) -> None:
        """End the template process and its parsers. The next `start` starts a new one."""
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
        """Order a parser from the template behind `control`; None if that template is gone."""
        with contextlib.ExitStack() as theirs, contextlib.ExitStack() as ours:
            status_socket, status_end = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            ours.callback(status_socket.close)
            theirs.callback(status_end.close)
            pipes = []
            for _ in range(2):
                reading, writing = os.pipe()
                ours.callback(os.close, reading)
                theirs.callback(os.close, writing)
                pipes.append((reading, writing))
            (output, output_end), (stderr, stderr_end) = pipes
            os.set_blocking(stderr, False)
            try:
                socket.send_fds(control, [order], [document, output_end, stderr_end, status_end.fileno()])
                theirs.close()
                status_socket.settimeout(self._answer_seconds)
                answer = status_socket.recv(NUMBER.size)
            except TimeoutError:
                self._end(control)
                raise OSError(errno.ETIMEDOUT, "the process that starts readers does not answer") from None
            except OSError as error:
                if error.errno in _GONE:
                    return None
                raise
            if not answer:
                return None
            (number,) = NUMBER.unpack(answer)
            if number < 0:
                raise OSError(-number, os.strerror(-number))
            ours.pop_all()
            return Forked(number, status_socket, output, stderr)

    def _connected(self) -> socket.socket:
        with self._lock:
            if self._control is None:
                self._control = self._started()
            return self._control

    def _end(self, control: socket.socket) -> None:
        """Kill the template behind this connection, and its parsers with it."""
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
        ours.settimeout(self._answer_seconds)  # for sending: the buffer fills up if the template takes no orders
        started: queue.SimpleQueue[subprocess.Popen[bytes] | BaseException] = queue.SimpleQueue()
        # The kernel kills the template when the thread that started it ends, so that thread waits for its end.
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
            _log.warning("the process that starts readers ended (%s); it is restarted when needed", ending)
        self._forget(ours)


PARSERS = ForkServer()
"""The fork server of this process."""
