"""No parser's process outlives the process that started it."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.pdf_builder import PdfBuilder

ROOT = Path(__file__).resolve().parents[3]

PARENT = """
import sys, time
from pathlib import Path
from ingest.parsing.extraction import open_extraction
extraction = open_extraction(Path(sys.argv[1]))
print(extraction._process.pid, flush=True)
time.sleep(600)
"""


def is_running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


@pytest.mark.parametrize("kill", [signal.SIGKILL, signal.SIGTERM])
def test_the_child_dies_with_its_parent_within_two_seconds(tmp_path: Path, kill: signal.Signals) -> None:
    # More than a pipe holds, so that the child waits with unfinished work.
    path = PdfBuilder().paragraph("Many words fill this page. " * 130).copies(120).save(tmp_path / "a.pdf")
    with subprocess.Popen(
        [sys.executable, "-c", PARENT, str(path)], stdout=subprocess.PIPE, text=True, cwd=ROOT
    ) as parent:
        assert parent.stdout is not None
        child = int(parent.stdout.readline())
        assert is_running(child)
        os.kill(parent.pid, kill)
        deadline = time.monotonic() + 2
        while is_running(child):
            assert time.monotonic() < deadline
            time.sleep(0.01)
