"""Reads from llama.cpp's log how much memory a load would take. Pure.

Rule: there is no other way to ask llama.cpp (its own function for it returns a C++ map), and the log's wording may change
in any version. So a missing size raises LogNotUnderstood; it is never guessed.
"""

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator
from typing import Final

from models.child_process.dry_run_messages import Sizes

_MIB: Final = 1024 * 1024
_LAYER: Final = re.compile(r"load_tensors: layer +\d+ assigned to device (\S+?),")
_MOVED: Final = re.compile(r"tensor '.*' \(\S+\) \(and (\d+) others\) cannot be used with preferred buffer type (\S+),")
_WEIGHTS: Final = re.compile(r"load_tensors: +(\S+) model buffer size =")
_CACHED: Final = re.compile(r"llama_kv_cache\w*: layer +\d+: dev = (\S+)")
_CACHE: Final = re.compile(r"llama_kv_cache\w*: size = +([\d.]+) MiB")
_BUFFER: Final = re.compile(r": +(\S+) +(.*?)(RS|state|compute|output) buffer size = +([\d.]+) MiB")


class LogNotUnderstood(Exception):
    """A size is missing from llama.cpp's log: its wording has changed."""


def sizes_in(lines: Iterable[str]) -> Sizes:
    """Returns the sizes in a dry run's log. Raises LogNotUnderstood, naming the missing ones."""
    text = [line.rstrip() for line in lines]
    layers = tuple(match[1] for line in text if (match := _LAYER.search(line)))
    kv = _caches(text)
    state, compute, output = (_buffers(text, kinds) for kinds in (("RS", "state"), ("compute",), ("output",)))
    found = {"layers": layers, "KV or state": kv or state, "compute": compute, "output": output}
    missing = [name for name, value in found.items() if not value]
    if missing:
        raise LogNotUnderstood(f"llama.cpp's log does not have: {', '.join(missing)}")
    moved = next((int(match[1]) + 1 for line in text if (match := _MOVED.search(line))), 0)
    repacks = any(match[1].endswith("_REPACK") for line in text if (match := _WEIGHTS.search(line)))
    return Sizes(layers=layers, repacks=repacks, moved=moved, kv=kv, state=state, compute=compute, output=output)


def _caches(text: Iterable[str]) -> dict[str, int]:
    """Adds up the KV caches by device. A dry run logs only a cache's total, after the devices of its layers; the layers
    have equal shares.
    """
    sums: dict[str, float] = defaultdict(float)
    devices: list[str] = []
    for line in text:
        if match := _CACHED.search(line):
            devices.append(match[1])
        elif match := _CACHE.search(line):
            if not devices and float(match[1]):
                raise LogNotUnderstood("llama.cpp's log has a KV cache without layers")
            for device in devices:
                sums[device] += float(match[1]) * _MIB / len(devices)
            devices = []
    return {device: round(size) for device, size in sums.items()}


def _buffers(text: Iterable[str], kinds: tuple[str, ...]) -> dict[str, int]:
    sums: dict[str, int] = defaultdict(int)
    for name, kind, size in _buffer_sizes(text):
        if kind in kinds:
            sums[name] += round(size * _MIB)
    return dict(sums)


def _buffer_sizes(text: Iterable[str]) -> Iterator[tuple[str, str, float]]:
    for line in text:
        if match := _BUFFER.search(line):
            yield match[1], match[3], float(match[4])
