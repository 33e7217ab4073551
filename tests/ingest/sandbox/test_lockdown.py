"""A locked-in process can only compute and write. Each test runs in its own process: a lock-in cannot be undone."""

import platform
import subprocess
import sys
from pathlib import Path

import pytest

from ingest.sandbox import landlock, seccomp

ROOT = Path(__file__).resolve().parents[3]

PRELUDE = """
import ctypes, mmap, os, socket, sys
from ingest.sandbox import landlock, limits, seccomp
def refused(action):
    try:
        action()
    except OSError as error:
        return error.errno in (1, 13)
    return False
"""


def run(code: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", PRELUDE + code], capture_output=True, text=True, cwd=ROOT, check=False, timeout=60
    )


needs_seccomp = pytest.mark.skipif(not seccomp.supported(), reason="no seccomp filter for this kernel or machine")
needs_landlock = pytest.mark.skipif(landlock.abi() == 0, reason="the kernel has no Landlock")


@needs_seccomp
@pytest.mark.parametrize(
    "action",
    [
        "lambda: os.open('/etc/passwd', os.O_RDONLY)",
        "lambda: os.open('/tmp/x', os.O_WRONLY | os.O_CREAT)",
        "lambda: socket.socket()",
        "lambda: socket.socket(socket.AF_UNIX)",
        "os.fork",
        "lambda: os.execv('/bin/true', ['true'])",
        "lambda: os.kill(os.getppid(), 0)",
        "lambda: os.write(7, b'x')",
        "lambda: mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_EXEC)",
        "lambda: os.unlink('/tmp/x')",
        "lambda: os.dup(1)",
    ],
)
def test_seccomp_allows_only_computing_and_writing_messages(action: str) -> None:
    done = run(f"""
os.dup2(1, 7)
action = {action}
seccomp.restrict((1, 2))
os.write(1, b'refused' if refused(action) else b'DONE')
os._exit(0)
""")
    assert done.stdout == "refused", done.stderr


@needs_seccomp
def test_a_locked_in_process_can_still_compute_allocate_and_read_open_files() -> None:
    done = run("""
seccomp.restrict((1,))
block = bytearray(50_000_000)
assert len(os.read(0, 10)) == 0
os.write(1, b'%d' % sum(range(1000)))
os._exit(0)
""")
    assert done.stdout == "499500", done.stderr


@needs_landlock
def test_landlock_refuses_all_files_except_those_granted() -> None:
    done = run("""
granted = os.open('/etc/passwd', os.O_RDONLY)
assert landlock.restrict([granted])
print(refused(lambda: os.open('/etc/hostname', os.O_RDONLY)), refused(lambda: os.listdir('/')))
os.close(os.open('/etc/passwd', os.O_RDONLY))
""")
    assert done.stdout == "True True\n", done.stderr


def test_the_limits_hold_memory_files_and_processor_time() -> None:
    done = run("""
import resource
limits.apply(limits.Limits(memory_bytes=300 * limits.MIB, document_seconds=7), 0)
try:
    bytearray(400 * limits.MIB)
except MemoryError:
    print('bounded', resource.getrlimit(resource.RLIMIT_CPU)[0], resource.getrlimit(resource.RLIMIT_FSIZE)[0])
""")
    assert done.stdout == "bounded 8 0\n", done.stderr


def test_the_filter_is_written_for_both_architectures_we_ship_for() -> None:
    for arch, calls in seccomp._ARCHITECTURES.values():
        program = seccomp._program(arch, calls, (1, 2, 3))
        assert len(program) % 8 == 0
        assert len(program) // 8 < 4096
        assert {"read", "write", "mmap", "futex", "exit_group"} <= calls.keys()
        assert len(set(calls.values())) == len(calls)
    assert platform.machine() not in ("x86_64", "aarch64") or seccomp.supported()
