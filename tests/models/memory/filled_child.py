"""Runs a child that uses as much memory as its settings allow.

`python -m tests.models.memory.filled_child MODEL SETTINGS TOKENS` drives the real engine, with everything that the real
child has in memory, to its peak: all sequences grow together in whole batches until TOKENS of the context are used, and
the last batch samples as many tokens as possible. Prints the memory used: before loading, after it and at the end (all
private memory, then private pages outside the mapping of the model's file), and the resident file pages.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import models.worker.main  # noqa: F401 - so that it uses what the real child does
from models.child_process.messages import path_text
from models.hardware.ram import Measured, measure
from models.types import LoadSettings
from models.worker.engine import Engine
from models.worker.engine.batch import BatchSpan
from models.worker.limits import harden
from models.worker.prompting.prompt_builder import PromptBuilder


def run(path: Path, settings: LoadSettings, tokens: int) -> dict[str, int]:
    """Start such a child and return what it reports; sizes in bytes."""
    command = [
        sys.executable,
        "-m",
        "tests.models.memory.filled_child",
        os.fspath(path),
        settings.model_dump_json(),
        str(tokens),
    ]
    environment = {**os.environ, "GOMP_SPINCOUNT": "1000"}
    done = subprocess.run(command, capture_output=True, check=True, timeout=600, env=environment)
    found: dict[str, int] = json.loads(done.stdout)
    return found


def main() -> None:
    harden(os.getppid())
    path, settings = Path(sys.argv[1]), LoadSettings.model_validate_json(sys.argv[2])
    before = _now()
    engine = Engine(path_text(path), settings)
    PromptBuilder(engine)
    loaded = _now()
    _fill(engine, int(sys.argv[3]))
    peak = _now()
    used = {
        "base": before.private,
        "loaded": loaded.private,
        "peak": peak.private,
        "pages": _private_pages(path),
        "resident": peak.mapped,
    }
    print(json.dumps(used))


def _fill(engine: Engine, tokens: int) -> None:
    position, sequence = [0] * engine.parallel, 0
    left = min(tokens, engine.cells) - engine.outputs
    while left > 0:
        count = min(engine.batch, left, engine.context - position[sequence])
        engine.decode([BatchSpan(_words(count), position[sequence], sequence, wanted=1)])
        position[sequence] += count
        sequence, left = (sequence + 1) % engine.parallel, left - max(count, 1)
    rest = engine.outputs - engine.parallel + 1
    spans = [BatchSpan(_words(1), position[at], at, wanted=1) for at in range(1, engine.parallel)]
    rest = min(rest, engine.context - position[0])
    engine.decode([BatchSpan(_words(rest), position[0], 0, wanted=rest), *spans])


def _words(count: int) -> list[int]:
    return [300 + at % 50 for at in range(count)]


def _now() -> Measured:
    found = measure(os.getpid())
    assert found is not None
    return found


def _private_pages(model: Path) -> int:
    """Bytes of the private pages of every mapping except the model's file."""
    total, counts = 0, True
    for line in Path("/proc/self/smaps").read_text().splitlines():
        words = line.split()
        if not words[0].endswith(":"):
            counts = not line.endswith(os.fspath(model.resolve()))
        elif counts and words[0] in ("Private_Clean:", "Private_Dirty:", "Swap:"):
            total += int(words[1]) * 1024
    return total


if __name__ == "__main__":
    main()
