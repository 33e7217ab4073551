"""The process that parsers are forked from: descriptor 0 is a socket to the service, each message on it one order.

Started by `forkserver` with exec, it loads everything that a parser needs, once, and never looks at a document. An order
brings a parser's arguments and four descriptors: the document, the pipes for messages and complaints, and a socket on
which this process says the parser's process id (or minus an errno), then how it ended. When the other end of that socket
is closed, the parser is killed; when the service is gone, all are. It ends by itself after a while without orders.
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
    """`arguments`: the parent's process id, and the seconds without orders after which to end."""
    idle = float(arguments[1])
    control = socket.socket(fileno=os.dup(_CONTROL))
    parser_main.load()
    gc.collect()
    gc.freeze()  # collecting would write to every object's page, which the parsers share
    Parsers(control).serve(idle)
    os._exit(0)


class Parsers:
    """Forks them, and tells how they end."""

    def __init__(self, control: socket.socket) -> None:
        self._control = control
        self._watched: dict[int, socket.socket] = {}
        self._poll = select.poll()
        self._woken = _child_signal_pipe()
        self._poll.register(control, select.POLLIN)
        self._poll.register(self._woken, select.POLLIN)

    def serve(self, idle: float) -> None:
        """Until the service is gone, or no parser has run for so many seconds."""
        while True:
            events = self._poll.poll(None if self._watched else idle * 1000)
            if not events and not self._watched:
                return
            # In the order of registration, the signal last: a number of a teller that was reaped may be another's by then.
            for descriptor, _ in sorted(events, key=lambda event: event[0] == self._woken):
                if descriptor == self._woken:
                    self._reap()
                elif descriptor == self._control.fileno():
                    if not self._obey():
                        return
                else:
                    self._kill(descriptor)

    def _obey(self) -> bool:
        data, descriptors, _, _ = socket.recv_fds(self._control, ORDER_BYTES, _DESCRIPTORS)
        if not data:
            return False
        teller = socket.socket(fileno=descriptors.pop())
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
            teller.send(NUMBER.pack(number))
        if number < 0:
            teller.close()
        else:
            self._watched[number] = teller
            self._poll.register(teller, select.POLLRDHUP)
        return True

    def _kill(self, descriptor: int) -> None:
        for number, teller in self._watched.items():
            if teller.fileno() == descriptor:
                os.kill(number, signal.SIGKILL)  # not reaped yet, so the number is still its own
                self._poll.unregister(descriptor)

    def _reap(self) -> None:
        with suppress(BlockingIOError):
            os.read(self._woken, 4096)
        while self._watched:
            number, status = os.waitpid(-1, os.WNOHANG)
            if number == 0:
                return
            teller = self._watched.pop(number)
            with suppress(KeyError):
                self._poll.unregister(teller)
            with suppress(OSError):
                teller.send(NUMBER.pack(os.waitstatus_to_exitcode(status)))
            teller.close()


def _child_signal_pipe() -> int:
    reading, writing = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
    signal.signal(signal.SIGCHLD, _nothing)
    signal.set_wakeup_fd(writing, warn_on_full_buffer=False)
    return reading


def _nothing(number: int, frame: FrameType | None) -> None:
    """A signal must have a handler to wake the poll."""


def _become_parser(template: int, arguments: list[str], descriptors: list[int]) -> NoReturn:
    """Never returns: in the forked process, which keeps nothing of this one's but memory."""
    try:
        parent_death.die_with(template)
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        os.setsid()
        for target, descriptor in enumerate(descriptors):
            os.dup2(descriptor, target)
        os.closerange(len(descriptors), os.sysconf("SC_OPEN_MAX"))
        parser_main.read(arguments)
    except BaseException:  # noqa: BLE001  # it must not go on as a second template
        traceback.print_exc(file=sys.stderr)
    finally:
        os._exit(1)
