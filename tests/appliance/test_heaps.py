"""Threads do not each bring a heap of their own that stays."""

import subprocess
import sys

_COUNT_HEAPS = """
import ctypes, sys, threading
from appliance.heaps import keep_few_heaps
if sys.argv[1] == "few":
    assert keep_few_heaps()
libc = ctypes.CDLL(None)
libc.malloc.restype = ctypes.c_void_p
together = threading.Barrier(8)
places = set()
def work():
    together.wait()
    places.add(libc.malloc(100_000) >> 26)  # a heap of a thread's own begins at a multiple of 64 MiB
    together.wait()
threads = [threading.Thread(target=work) for _ in range(8)]
for thread in threads: thread.start()
for thread in threads: thread.join()
print(len(places))
"""


def heaps(how: str) -> int:
    done = subprocess.run([sys.executable, "-c", _COUNT_HEAPS, how], capture_output=True, text=True, check=True)
    return int(done.stdout)


def test_eight_threads_share_two_heaps_instead_of_having_more() -> None:
    assert heaps("few") <= 2
    assert heaps("usual") > 2
