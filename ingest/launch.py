"""Starting a process that reads what a stranger wrote: by exec, with a clean environment and three descriptors."""

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

_PACKAGE = Path(__file__).resolve().parent
# The child runs this very copy of the package, be it installed, editable or a checkout; -I ignores the folder it
# starts in and all PYTHON* variables.
_BOOT = """
import importlib, importlib.util, sys
spec = importlib.util.spec_from_file_location("ingest", sys.argv[1] + "/__init__.py", submodule_search_locations=[sys.argv[1]])
sys.modules["ingest"] = package = importlib.util.module_from_spec(spec)
spec.loader.exec_module(package)
from ingest.orphan import die_with
die_with(int(sys.argv[3]))
importlib.import_module("ingest." + sys.argv[2]).main(sys.argv[3:])
"""
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


def start(child: Sequence[str], arguments: Sequence[str], stdin: int) -> subprocess.Popen[bytes]:
    """Start it in a session of its own; `arguments` follow this process's id. Raises OSError."""
    process = subprocess.Popen(
        [*child, str(os.getpid()), *arguments],
        stdin=stdin,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        bufsize=0,
        close_fds=True,
        cwd="/",
        env=_ENVIRONMENT,
        start_new_session=True,
    )
    assert process.stderr is not None
    os.set_blocking(process.stderr.fileno(), False)
    return process


def complaint(process: subprocess.Popen[bytes], most: int) -> str:
    """What it has written to its descriptor 2, at most so many bytes."""
    assert process.stderr is not None
    data = process.stderr.read(most) or b""
    return data.decode("utf-8", "backslashreplace").strip()
