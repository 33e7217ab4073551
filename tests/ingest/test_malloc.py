"""Threads share two heaps instead of each keeping its own, and freed memory goes back to the kernel."""

import subprocess
import sys

_COUNT_HEAPS = """
import ctypes, sys, threading
from ingest.malloc import keep_few_heaps
if sys.argv[1] == "few":
    assert keep_few_heaps()
libc = ctypes.CDLL(None)
libc.malloc.restype = ctypes.c_void_p
together = threading.Barrier(8)
places = set()
def work():
    together.wait()
    places.add(libc.malloc(100_000) >> 26)  # a thread's heap begins at a multiple of 64 MiB
    together.wait()
threads = [threading.Thread(target=work) for _ in range(8)]
for thread in threads: thread.start()
for thread in threads: thread.join()
print(len(places))
"""


def heaps(how: str) -> int:
    done = subprocess.run([sys.executable, "-c", _COUNT_HEAPS, how], capture_output=True, text=True, check=True)
    return int(done.stdout)


def test_eight_threads_share_two_heaps() -> None:
    assert heaps("few") <= 2
    assert heaps("usual") > 2


_FREE_BETWEEN = """
import ctypes, pathlib
from ingest.malloc import give_back_freed
libc = ctypes.CDLL(None)
libc.malloc.restype = ctypes.c_void_p
libc.free.argtypes = [ctypes.c_void_p]
def resident():
    return int(pathlib.Path("/proc/self/statm").read_text().split()[1]) * 4096
pieces = [(libc.malloc(100_000), libc.malloc(64)) for _ in range(500)]  # the small ones keep the heap from shrinking
for large, small in pieces:
    ctypes.memset(large, 1, 100_000)
for large, small in pieces:
    libc.free(large)
before = resident()
give_back_freed()
print(before - resident())
"""


def test_memory_that_is_free_between_blocks_in_use_is_returned() -> None:
    done = subprocess.run([sys.executable, "-c", _FREE_BETWEEN], capture_output=True, text=True, check=True)
    assert int(done.stdout) > 30_000_000
