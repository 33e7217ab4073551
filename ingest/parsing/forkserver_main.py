"""The template process that parsers are forked from.

Descriptor 0 is a socket to the service; each message on it is an order. Started by `forkserver` with exec, this process
loads everything a parser needs, once, and never looks at a document. An order brings a parser's arguments and four
descriptors: the document, the pipes for messages and stderr, and a status socket. On the status socket this process
sends the parser's process id (or minus an errno), then how it ended. When the other end of that socket closes, the
parser is killed; when the service is gone, all parsers are killed. The template exits after a while without a parser.
"""

import gc
import json
import os
import select
import signal
import socket
import sys
import traceback
from contextlib import suppress
from types import FrameType
from typing import NoReturn

from ingest.parsing import parser_main
from ingest.protocol.frames import NUMBER, ORDER_BYTES
from ingest.sandbox import parent_death

_DESCRIPTORS = 4
_CONTROL = 0


def main(arguments: list[str]) -> None:
    """`arguments`: the parent's process id, and the seconds without a parser after which to exit."""
    idle = float(arguments[1])
    control = socket.socket(fileno=os.dup(_CONTROL))
    parser_main.load()
    gc.collect()
    gc.freeze()  # a collection would write to every page of objects, and the parsers share those pages
    Parsers(control).serve(idle)
    os._exit(0)


class Parsers:
    """Forks parsers, and reports how they end."""

    def __init__(self, control: socket.socket) -> None:
        self._control = control
        self._watched: dict[int, socket.socket] = {}
        self._poll = select.poll()
        self._woken = _child_signal_pipe()
        self._poll.register(control, select.POLLIN)
        self._poll.register(self._woken, select.POLLIN)

    def serve(self, idle: float) -> None:
        """Serve orders until the service is gone, or no parser has run for `idle` seconds."""
        while True:
            events = self._poll.poll(None if self._watched else idle * 1000)
            if not events and not self._watched:
                return
            # The signal comes last: reaping closes status sockets, and their descriptor numbers may then be used again.
            for descriptor, _ in sorted(events, key=lambda event: event[0] == self._woken):
                if descriptor == self._woken:
                    self._reap()
                elif descriptor == self._control.fileno():
                    if not self._fork_parser():
                        return
                else:
                    self._kill(descriptor)

    def _fork_parser(self) -> bool:
        data, descriptors, _, _ = socket.recv_fds(self._control, ORDER_BYTES, _DESCRIPTORS)
        if not data:
            return False
        status_socket = socket.socket(fileno=descriptors.pop())
        ours = os.getpid()
        try:
            number = os.fork()
        except OSError as error:
            number = -(error.errno or 1)
        if number == 0:
            _become_parser(ours, json.loads(data), descriptors)
        for descriptor in descriptors:
            os.close(descriptor)
        with suppress(OSError):
            status_socket.send(NUMBER.pack(number))
        if number < 0:
            status_socket.close()
        else:
            self._watched[number] = status_socket
            self._poll.register(status_socket, select.POLLRDHUP)
        return True

    def _kill(self, descriptor: int) -> None:
        for number, status_socket in self._watched.items():
            if status_socket.fileno() == descriptor:
                os.kill(number, signal.SIGKILL)  # not reaped yet, so the process id is still its own
                self._poll.unregister(descriptor)

    def _reap(self) -> None:
        with suppress(BlockingIOError):
            os.read(self._woken, 4096)
        while self._watched:
            number, status = os.waitpid(-1, os.WNOHANG)
            if number == 0:
                return
            status_socket = self._watched.pop(number)
            with suppress(KeyError):
                self._poll.unregister(status_socket)
            with suppress(OSError):
                status_socket.send(NUMBER.pack(os.waitstatus_to_exitcode(status)))
            status_socket.close()


def _child_signal_pipe() -> int:
    reading, writing = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
    signal.signal(signal.SIGCHLD, _nothing)
    signal.set_wakeup_fd(writing, warn_on_full_buffer=False)
    return reading


def _nothing(number: int, frame: FrameType | None) -> None:
    """Does nothing, but without a handler the signal would not wake the poll."""


def _become_parser(template: int, arguments: list[str], descriptors: list[int]) -> NoReturn:
    """Never returns: turns the forked process into a parser that keeps nothing of the template but its memory."""
    try:
        parent_death.die_with(template)
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        os.setsid()
        for target, descriptor in enumerate(descriptors):
            os.dup2(descriptor, target)
        os.closerange(len(descriptors), os.sysconf("SC_OPEN_MAX"))
        parser_main.read(arguments)
    except BaseException:  # noqa: BLE001  # it must not continue as a second template
        traceback.print_exc(file=sys.stderr)
    finally:
        os._exit(1)
