"""Starts a process that reads untrusted content: by exec, with a clean environment and three descriptors."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol

_PACKAGE = Path(__file__).resolve().parents[1]
# The child runs this very copy of the package, whether it is installed, editable or a checkout. -I ignores the current
# folder and all PYTHON* variables.
_BOOT = """
import importlib, importlib.util, sys
spec = importlib.util.spec_from_file_location("ingest", sys.argv[1] + "/__init__.py", submodule_search_locations=[sys.argv[1]])
sys.modules["ingest"] = package = importlib.util.module_from_spec(spec)
spec.loader.exec_module(package)
from ingest.sandbox.parent_death import die_with
die_with(int(sys.argv[3]))
importlib.import_module("ingest." + sys.argv[2]).main(sys.argv[3:])
"""
GRACE_SECONDS = 5.0
"""How long a killed process may take to end. Chosen by eye."""
FROM_OUTSIDE = (signal.SIGKILL, signal.SIGTERM, signal.SIGHUP, signal.SIGINT)
"""Signals from outside, so the document is not at fault: a process's own limits and faults use others."""
_ENVIRONMENT = {
    "LANG": "C.UTF-8",
    "PATH": "/usr/bin:/bin",
    "MALLOC_ARENA_MAX": "1",
    "OMP_THREAD_LIMIT": "1",
    "PYMUPDF_SUGGEST_LAYOUT_ANALYZER": "0",
    "ORT_DISABLE_TELEMETRY": "1",  # should pymupdf load ONNX Runtime, it must not report to anyone
}


def command(module: str) -> tuple[str, ...]:
    """The command that runs `main` of a module of this package; append the parent's process id and more arguments."""
    return (sys.executable, "-I", "-c", _BOOT, str(_PACKAGE), module)


class Child(Protocol):
    """A started process that reads one document."""

    pid: int
    output: int
    """The descriptor that its messages are read from."""

    @property
    def returncode(self) -> int | None:
        """How it ended, once `wait` knows."""

    def kill(self) -> None:
        """Kill it, from any thread."""

    def wait(self, seconds: float) -> int | None:
        """Its exit status, or minus the number of the signal that ended it; None if it still runs after `seconds`."""

    def stderr_text(self, most: int) -> str:
        """What it has written to stderr, at most `most` bytes."""

    def close(self) -> None:
        """Kill it, wait for its end, and free the descriptors. Closing twice does nothing."""


Starter = Callable[[Sequence[str], int], Child]
"""(arguments, descriptor of the document) -> the process that reads it. Raises OSError."""


def start(
    child: Sequence[str], arguments: Sequence[str], stdin: int, stdout: int = subprocess.PIPE
) -> subprocess.Popen[bytes]:
    """Start `child` in a session of its own, with this process's id before `arguments`. Raises OSError."""
    process = subprocess.Popen(
        [*child, str(os.getpid()), *arguments],
        stdin=stdin,
        stdout=stdout,
        stderr=subprocess.PIPE if stdout == subprocess.PIPE else None,
        bufsize=0,
        close_fds=True,
        cwd="/",
        env=_ENVIRONMENT,
        start_new_session=True,
    )
    if process.stderr is not None:
        os.set_blocking(process.stderr.fileno(), False)
    return process


def stderr_text(descriptor: int, most: int) -> str:
    """What a process has written to its stderr pipe, which must not block; at most `most` bytes."""
    try:
        data = os.read(descriptor, most)
    except BlockingIOError:
        data = b""
    return data.decode("utf-8", "backslashreplace").strip()
