"""Starts, watches and kills the processes of models, without ever blocking the event loop.

Rules: always exec, never only fork. The child inherits one socket, a pipe for standard error and a short environment. One
thread, which lives as long as the `Spawner`, starts all children, because a child with PR_SET_PDEATHSIG dies with the
thread that started it. A child is ended by SIGKILL only: it has nothing to save, and its memory is free at once.
"""

import asyncio
import os
import signal
import socket
import subprocess
import sys
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import TracebackType
from typing import Final, Self

_PASSED: Final = ("PATH", "LD_LIBRARY_PATH", "CUDA_VISIBLE_DEVICES", "HIP_VISIBLE_DEVICES", "TZ", "TMPDIR")
_PACKAGES: Final = Path(__file__).resolve().parents[2]
_LAST_WORDS_S: Final = 2.0  # for its standard error to close
_TAIL_LINES, _TAIL_BYTES, _TAIL_LETTERS = 12, 16 * 1024, 600  # of standard error that a message may quote; by eye


class Spawner:
    """Starts children in its own thread. Close it after the last of them has ended."""

    def __init__(self) -> None:
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="models-spawn")

    async def spawn(self, module: str) -> "Process":
        """Starts `python -m module SOCKET_FD PARENT_PID`. Raises OSError if the system refuses."""
        loop = asyncio.get_running_loop()
        starting = loop.run_in_executor(self._thread, _spawn, module)
        try:
            child, connection = await asyncio.shield(starting)
        except asyncio.CancelledError:
            starting.add_done_callback(_undo)
            raise
        process = Process(child, connection)
        try:
            await process.attach()
        except BaseException:
            child.kill()
            connection.close()
            raise
        return process

    def close(self) -> None:
        self._thread.shutdown(wait=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self.close()


class Process:
    """A started child: its socket, its last output, its exit status."""

    def __init__(self, child: "subprocess.Popen[bytes]", connection: socket.socket) -> None:
        self._child = child
        self.connection = connection
        self._tail = _Tail()
        self._ended: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self._pidfd = -1
        self._pipe: asyncio.ReadTransport | None = None

    @property
    def pid(self) -> int:
        return self._child.pid

    @property
    def last_words(self) -> str:
        """The last lines of its standard error, without control characters; at most 600 characters."""
        return self._tail.text()

    async def attach(self) -> None:
        """Starts watching for its end and reading its standard error."""
        loop = asyncio.get_running_loop()
        self._pidfd = os.pidfd_open(self.pid)
        loop.add_reader(self._pidfd, self._on_end)
        self._pipe, _ = await loop.connect_read_pipe(lambda: self._tail, self._child.stderr)

    def kill(self) -> None:
        """Kills it. Does nothing if it has ended."""
        if not self._ended.done():
            signal.pidfd_send_signal(self._pidfd, signal.SIGKILL)

    async def ended(self) -> int:
        """Waits until it has ended and `last_words` is complete. Returns its exit status, negative for a signal.

        A process that it started may keep the pipe open. Then `last_words` is what arrived within two seconds.
        """
        status = await asyncio.shield(self._ended)
        try:
            await asyncio.wait_for(self._tail.closed.wait(), _LAST_WORDS_S)
        except TimeoutError:
            if self._pipe:
                self._pipe.close()
        return status

    def _on_end(self) -> None:
        asyncio.get_running_loop().remove_reader(self._pidfd)
        os.close(self._pidfd)
        self._ended.set_result(self._child.wait())


class _Tail(asyncio.Protocol):
    """Keeps the last lines of a pipe, without control characters."""

    def __init__(self) -> None:
        self.closed = asyncio.Event()
        self._chunks: deque[bytes] = deque()
        self._size = 0

    def data_received(self, data: bytes) -> None:
        self._chunks.append(data[-_TAIL_BYTES:])
        self._size += len(self._chunks[-1])
        while self._size - len(self._chunks[0]) > _TAIL_BYTES:
            self._size -= len(self._chunks.popleft())

    def connection_lost(self, error: Exception | None) -> None:
        self.closed.set()

    def text(self) -> str:
        lines = b"".join(self._chunks).decode("utf-8", "replace").splitlines()
        kept = [line.strip() for line in lines if line.strip()][-_TAIL_LINES:]
        return "".join(letter if letter.isprintable() else " " for letter in " | ".join(kept)[-_TAIL_LETTERS:])


def _spawn(module: str) -> "tuple[subprocess.Popen[bytes], socket.socket]":
    ours, theirs = socket.socketpair()
    try:
        with theirs:
            child = subprocess.Popen(
                [sys.executable, "-s", "-P", "-m", module, str(theirs.fileno()), str(os.getpid())],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                pass_fds=(theirs.fileno(),),
                cwd="/",
                env=_environment(),
                start_new_session=True,
            )
    except BaseException:
        ours.close()
        raise
    ours.setblocking(False)
    return child, ours


def _undo(starting: "asyncio.Future[tuple[subprocess.Popen[bytes], socket.socket]]") -> None:
    """Kills a child whose caller was cancelled before it had started."""
    if not starting.cancelled() and starting.exception() is None:
        child, connection = starting.result()
        connection.close()
        child.kill()
        with child:  # closes its pipe and waits
            pass


def _environment() -> dict[str, str]:
    passed = {name: os.environ[name] for name in _PASSED if name in os.environ}
    return passed | {
        "PYTHONPATH": str(_PACKAGES),
        "PYTHONUTF8": "1",
        "PYTHONDONTWRITEBYTECODE": "1",
        "GGML_NO_BACKTRACE": "1",  # otherwise an abort starts a debugger
        "LANG": "C.UTF-8",
        "CUDA_DEVICE_ORDER": "PCI_BUS_ID",  # numbers GPUs like NVML, and so like `hardware.gpus`
        # Threads that spin long at OpenMP's barriers starve each other while anything else runs, such as the ingest: two
        # threads on two busy cores decode at a fifth of the speed. A short spin costs nothing on idle cores.
        "GOMP_SPINCOUNT": "1000",
    }
