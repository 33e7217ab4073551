"""Starting a process that reads what a stranger wrote: by exec, with a clean environment and three descriptors."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol

_PACKAGE = Path(__file__).resolve().parents[1]
# The child runs this very copy of the package, be it installed, editable or a checkout; -I ignores the folder it
# starts in and all PYTHON* variables.
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
"""Within which a killed process ends."""
FROM_OUTSIDE = (signal.SIGKILL, signal.SIGTERM, signal.SIGHUP, signal.SIGINT)
"""Signals that end a process for no fault of the document's: its own limits and mistakes end it by others."""
_ENVIRONMENT = {
    "LANG": "C.UTF-8",
    "PATH": "/usr/bin:/bin",
    "MALLOC_ARENA_MAX": "1",
    "OMP_THREAD_LIMIT": "1",
    "PYMUPDF_SUGGEST_LAYOUT_ANALYZER": "0",
    "ORT_DISABLE_TELEMETRY": "1",  # should pymupdf load ONNX Runtime, it must not report to anyone
}


def command(module: str) -> tuple[str, ...]:
    """What runs `main` of a module of this package, to be followed by the parent's process id and further arguments."""
    return (sys.executable, "-I", "-c", _BOOT, str(_PACKAGE), module)


class Child(Protocol):
    """A started process that reads one document."""

    pid: int
    output: int
    """The descriptor that brings its messages."""

    @property
    def returncode(self) -> int | None:
        """How it ended, once `wait` has told."""

    def kill(self) -> None:
        """End it, from any thread."""

    def wait(self, seconds: float) -> int | None:
        """How it ended (minus a signal's number where by that), or None if it has not by then."""

    def complaint(self, most: int) -> str:
        """What it has written to its descriptor 2, at most so many bytes."""

    def close(self) -> None:
        """Kill it, wait for its end, free the descriptors; a second call does nothing."""


Starter = Callable[[Sequence[str], int], Child]
"""(arguments, descriptor of the document) -> the process that reads it. Raises OSError."""


def start(
    child: Sequence[str], arguments: Sequence[str], stdin: int, stdout: int = subprocess.PIPE
) -> subprocess.Popen[bytes]:
    """Start it in a session of its own; `arguments` follow this process's id. Raises OSError."""
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


def complaint(descriptor: int, most: int) -> str:
    """What a process has written to the pipe that takes its complaints, at most so many bytes."""
    try:
        data = os.read(descriptor, most)
    except BlockingIOError:
        data = b""
    return data.decode("utf-8", "backslashreplace").strip()
