"""Ctrl-C that cannot be lost while the service is waited for.

Python runs its handler between two bytecodes: a SIGINT that arrives just before a blocking read has been noted but not
handled, and the read then waits for a byte that may never come; one that strikes inside a finaliser is swallowed. So
the signal is also written to a pipe by the kernel's side of the interpreter, and a thread that reads it sends the
signal to the main thread again, which ends the read, until the block is left.
"""

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager

_AGAIN_SECONDS = 0.25


@contextmanager
def reliable_interrupts() -> Iterator[None]:
    """In the block every SIGINT becomes a `KeyboardInterrupt` soon; elsewhere than in the main thread nothing changes.

    A process whose SIGINT is ignored or handled otherwise keeps that.
    """
    if not _python_handles_it():
        yield
        return
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    before = signal.set_wakeup_fd(writing, warn_on_full_buffer=False)
    left = threading.Event()
    thread = threading.Thread(target=_send_again, args=(reading, left), name="interrupts", daemon=True)
    thread.start()
    try:
        yield
    finally:
        left.set()
        signal.set_wakeup_fd(before)
        os.close(writing)  # the thread reads the end of the pipe
        thread.join()
        os.close(reading)


def _python_handles_it() -> bool:
    main = threading.current_thread() is threading.main_thread()
    return main and signal.getsignal(signal.SIGINT) is signal.default_int_handler


def _send_again(reading: int, left: threading.Event) -> None:
    while arrived := os.read(reading, 64):
        while signal.SIGINT in arrived and not left.wait(_AGAIN_SECONDS):
            signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)
