"""Makes Ctrl-C reliable while a command waits for the service.

Python runs its signal handler between two bytecodes. A SIGINT that arrives just before a blocking read is noted but not
handled, and the read then waits for a byte that may never come; one that arrives inside a finaliser is swallowed. So the
interpreter also writes each signal to a pipe (`signal.set_wakeup_fd`). A thread reads the pipe and sends SIGINT to the
main thread again, which ends the read, until the block is left.
"""

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager

_AGAIN_SECONDS = 0.25


@contextmanager
def reliable_interrupts() -> Iterator[None]:
    """Turns every SIGINT in the block into a `KeyboardInterrupt` within about a quarter of a second.

    Does nothing outside the main thread, or if SIGINT is ignored or has another handler.
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
        os.close(writing)  # the thread then reads end of file and returns
        thread.join()
        os.close(reading)


def _python_handles_it() -> bool:
    main = threading.current_thread() is threading.main_thread()
    return main and signal.getsignal(signal.SIGINT) is signal.default_int_handler


def _send_again(reading: int, left: threading.Event) -> None:
    while arrived := os.read(reading, 64):
        while signal.SIGINT in arrived and not left.wait(_AGAIN_SECONDS):
            signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)
