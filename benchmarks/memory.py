"""Compares the predicted memory of model loads with their measured peak.

    python -m benchmarks.memory [MODEL.gguf …] [--quick] [--fill N] [--json FILE]

Without models, it writes shapes of real ones to a temporary folder as sparse files with zeros for weights: memory and
speed are those of real weights, only the text is meaningless. The real engine loads each with the settings below, in a
child that is driven to its maximum: see tests/models/memory/filled_child.py.

Columns, in MB: `base` is the process before it loads anything. The next ones are what it uses beyond that, without the
mapping of the model's file: predicted from the header (`header`), by a dry run (`dry run`) and from the first
measurement (`again`), then measured at the peak. `pages` measures the same another way at the end: private pages of all
mappings but the model's file. The three ratios are predicted to measured. `mapped` and `resident` are the weights that
stay in the file's mapping, predicted and measured. Prints figures only; there is no pass or fail.
"""

import argparse
import asyncio
import json
import tempfile
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

import gguf

from models.child_process.spawner import Spawner
from models.formats.gguf_header import read_header
from models.hardware.ram import Measured
from models.memory.dry_run import dry_run
from models.memory.estimate import estimate, from_dry_run, with_measured
from models.memory.repacking import repacked_here
from models.types import LoadSettings
from tests.gguf_shapes import REAL, write_shape
from tests.models.memory.filled_child import run

MB: Final = 1e6

SETTINGS: Final = (
    ("tinyllama-1.1b", "Q4_0", LoadSettings(context=2048, batch=128, parallel=4)),
    ("tinyllama-1.1b", "Q8_0", LoadSettings(context=2048, batch=512, parallel=1)),
    ("tinyllama-1.1b", "F16", LoadSettings(context=2048, batch=128, parallel=8, kv_type="q8_0")),
    ("qwen2.5-0.5b", "Q4_0", LoadSettings(context=2048, batch=128, parallel=4)),
    ("qwen2.5-0.5b", "Q8_0", LoadSettings(context=8192, batch=512, parallel=4)),
    ("qwen2.5-0.5b", "Q8_0", LoadSettings(context=4096, batch=128, parallel=8, kv_type="q8_0")),
    ("qwen2.5-0.5b", "Q4_0", LoadSettings(context=32_768, batch=512, parallel=1, kv_type="q4_0")),
    ("gemma3-1b", "Q4_0", LoadSettings(context=8192, batch=128, parallel=4)),
    ("gemma2-2b", "Q4_0", LoadSettings(context=2048, batch=512, parallel=1, kv_type="q8_0")),
    ("qwen2.5-3b", "Q4_0", LoadSettings(context=4096, batch=128, parallel=4)),
)
QUICK: Final = (0, 3, 5)
FOR_MODELS: Final = (
    LoadSettings(context=2048, batch=128, parallel=4),
    LoadSettings(context=8192, batch=512, parallel=4, kv_type="q8_0"),
    LoadSettings(context=4096, batch=128, parallel=8, kv_type="q4_0"),
)


@dataclass(frozen=True)
class Row:
    """One setting; sizes in bytes."""

    model: str
    quantisation: str
    settings: str
    base: int
    header: int
    dry_run: int
    remembered: int
    measured: int
    pages: int
    mapped: int
    resident: int


async def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="*", type=Path)
    parser.add_argument("--quick", action="store_true", help="three small settings only")
    parser.add_argument(
        "--fill", type=int, default=1 << 20, help="fill at most N tokens of the context; at least a batch", metavar="N"
    )
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    rows = []
    with tempfile.TemporaryDirectory() as folder, Spawner() as spawner:
        print(_HEAD)
        for name, path, settings in _cases(arguments.models, Path(folder), quick=arguments.quick):
            rows.append(await _row(name, path, settings, spawner, arguments.fill))
            print(_line(rows[-1]), flush=True)
    if arguments.json:
        arguments.json.write_text(json.dumps([asdict(row) for row in rows], indent=1))


def _cases(models: list[Path], folder: Path, *, quick: bool) -> Iterator[tuple[str, Path, LoadSettings]]:
    for path in models:
        for settings in FOR_MODELS:
            yield path.stem, path.resolve(), settings
    if models:
        return
    for name, kind, settings in [SETTINGS[at] for at in QUICK] if quick else SETTINGS:
        path = write_shape(folder / f"{name}-{kind}.gguf", REAL[name], gguf.GGMLQuantizationType[kind])
        yield name, path, settings
        path.unlink()


async def _row(name: str, path: Path, settings: LoadSettings, spawner: Spawner, fill: int) -> Row:
    header, types = read_header(path), repacked_here()
    first = estimate(header, settings, types)
    report = await dry_run(path, settings, spawner)
    second = from_dry_run(header, settings, report, types)
    found = await asyncio.to_thread(run, path, settings, fill)
    third = with_measured(second, Measured(found["loaded"]))
    base = found["base"]
    return Row(
        name,
        header.quantisation,
        f"{settings.context:>6} {settings.kv_type:>4} {settings.batch:>4} {settings.parallel:>2}",
        base,
        header=first.private - base,
        dry_run=second.private - base,
        remembered=third.private - base,
        measured=found["peak"] - base,
        pages=found["pages"] - base,
        mapped=second.of("mapped"),
        resident=found["resident"],
    )


_HEAD: Final = (
    "model            type  context   kv batch n    base |  header  dry run  again | measured  pages |"
    " header dry-run again | mapped resident"
)


def _line(row: Row) -> str:
    ratios = " ".join(f"{predicted / row.measured:7.3f}" for predicted in (row.header, row.dry_run, row.remembered))
    sizes = " ".join(f"{size / MB:8.1f}" for size in (row.header, row.dry_run, row.remembered))
    return (
        f"{row.model:16} {row.quantisation:5} {row.settings} {row.base / MB:7.1f} | {sizes} |"
        f" {row.measured / MB:8.1f} {row.pages / MB:7.1f} | {ratios} | {row.mapped / MB:7.1f} {row.resident / MB:7.1f}"
    )


if __name__ == "__main__":
    asyncio.run(main())
