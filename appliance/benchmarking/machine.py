"""What this machine is called in the history: figures of different machines are never compared."""

import os
from pathlib import Path


def machine(cpuinfo: Path = Path("/proc/cpuinfo")) -> str:
    """Its processor, the cores this process may use, and its memory."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return f"{_processor(cpuinfo)}, {len(os.sched_getaffinity(0))} cores, {round(memory / (1 << 30))} GiB"


def _processor(cpuinfo: Path) -> str:
    try:
        lines = cpuinfo.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        lines = []
    names = (line.partition(":")[2].strip() for line in lines if line.lower().startswith(("model name", "hardware")))
    return next(names, os.uname().machine)
