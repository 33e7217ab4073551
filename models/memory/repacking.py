"""Lists the weight types that llama.cpp rearranges on this CPU, and so copies out of the file's mapping.

Pure, except for reading /proc/cpuinfo. From ggml-cpu/repack.cpp of llama.cpp, as far as the CPU's flags show its
features; the dry run checks it.
"""

import platform
from functools import cache
from pathlib import Path
from typing import Final

_AVX2: Final = frozenset({"Q4_0", "Q4_K", "IQ4_NL", "MXFP4"})
_AVX512: Final = frozenset({"Q2_K"})
_DOTPROD: Final = frozenset({"Q4_0", "Q4_K", "Q5_K", "Q6_K", "IQ4_NL", "MXFP4", "Q8_0", "Q1_0"})


def repacked_types(machine: str, flags: frozenset[str]) -> frozenset[str]:
    """The types for a machine (`platform.machine()`) with these CPU flags."""
    if machine == "aarch64":
        return _DOTPROD if "asimddp" in flags else frozenset()
    if "avx2" not in flags:
        return frozenset()
    return _AVX2 | _AVX512 if "avx512f" in flags else _AVX2


@cache
def repacked_here() -> frozenset[str]:
    """The types for this machine's CPU."""
    return repacked_types(platform.machine(), _flags(Path("/proc/cpuinfo")))


def _flags(file: Path) -> frozenset[str]:
    """The flags of the first CPU; none if they cannot be read."""
    try:
        text = file.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return frozenset()
    for line in text.splitlines():
        name, _, value = line.partition(":")
        if name.strip() in ("flags", "Features"):
            return frozenset(value.split())
    return frozenset()
