"""What llama.cpp says of the memory it would take, read from its log. Pure.

Rule: there is no other way to ask llama.cpp (its own function for it returns a C++ map), and the log's wording is
nobody's promise. So whatever is needed and not found is a LogNotUnderstood, never a guess.
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
    """llama.cpp's log does not have what it used to have."""


def sizes_in(lines: Iterable[str]) -> Sizes:
    """The sizes in a dry run's log. Raises LogNotUnderstood, naming what is missing."""
    text = [line.rstrip() for line in lines]
    layers = tuple(match[1] for line in text if (match := _LAYER.search(line)))
    kv = _caches(text)
    state, compute, output = (_buffers(text, kinds) for kinds in (("RS", "state"), ("compute",), ("output",)))
    found = {"layers": layers, "KV or state": kv or state, "compute": compute, "output": output}
    missing = [name for name, value in found.items() if not value]
    if missing:
        raise LogNotUnderstood(f"llama.cpp's log does not tell of: {', '.join(missing)}")
    moved = next((int(match[1]) + 1 for line in text if (match := _MOVED.search(line))), 0)
    repacks = any(match[1].endswith("_REPACK") for line in text if (match := _WEIGHTS.search(line)))
    return Sizes(layers=layers, repacks=repacks, moved=moved, kv=kv, state=state, compute=compute, output=output)


def _caches(text: Iterable[str]) -> dict[str, int]:
    """A dry run tells each cache's size as a whole, after the devices of its layers: they have equal shares."""
    sums: dict[str, float] = defaultdict(float)
    devices: list[str] = []
    for line in text:
        if match := _CACHED.search(line):
            devices.append(match[1])
        elif match := _CACHE.search(line):
            if not devices and float(match[1]):
                raise LogNotUnderstood("llama.cpp's log tells of a KV cache without layers")
            for device in devices:
                sums[device] += float(match[1]) * _MIB / len(devices)
            devices = []
    return {device: round(size) for device, size in sums.items()}


def _buffers(text: Iterable[str], kinds: tuple[str, ...]) -> dict[str, int]:
    sums: dict[str, int] = defaultdict(int)
    for name, kind, size in _told(text):
        if kind in kinds:
            sums[name] += round(size * _MIB)
    return dict(sums)


def _told(text: Iterable[str]) -> Iterator[tuple[str, str, float]]:
    for line in text:
        if match := _BUFFER.search(line):
            yield match[1], match[3], float(match[4])
