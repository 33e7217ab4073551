"""A model's process is killed for memory: is the service's own process as it was, and does it answer on?

    python -m benchmarks.overcommit [--memory-max 400M] [--json]

Under a control group's limit (as root) two models are loaded of which one fits, by a manager that is told of a budget
without end, as if the estimate were wrong. The kernel has to kill somebody. Said: who it was, the resident memory of this
process before and after, and whether the model answers again.
"""

import argparse
import asyncio
import json
import os
import sys
import tempfile
from pathlib import Path

import psutil

from benchmarks.limited import Group, limited
from models.adapters.catalog import AdapterCatalog
from models.catalog.catalog import Catalog
from models.errors import ModelError
from models.residency.manager import Manager, ModelDefaults
from models.types import GenerationRequest
from tests.gguf_builder import Shape, write_model

_CONTEXT = 32_768
_SHAPE = Shape(layers=4, width=512, feed_forward=64, heads=4, kv_heads=4, context=_CONTEXT)  # 256 MiB of KV


async def overcommit(root: Path, group: Group) -> dict[str, object]:
    """What happened."""
    catalog = Catalog(root / "models")
    me, died = psutil.Process(), []
    defaults = ModelDefaults(context=_CONTEXT, threads=1)
    async with Manager(
        catalog,
        AdapterCatalog(root / "adapters"),
        budget_bytes=1 << 40,
        defaults=defaults,
        on_decision=lambda decision: died.append(decision.why) if decision.kind in ("died", "failed") else None,
    ) as manager:
        await manager.load("a")
        before = me.memory_info().rss
        refused = ""
        try:
            await manager.load("b")
        except ModelError as error:
            refused = str(error)
        for state in manager.states():
            if state.state == "loaded":
                await manager.unload(state.spec.id)
        async with manager.lease("a") as lease:
            pieces = [piece async for piece in lease.generate(GenerationRequest(prompt="the pump is", max_tokens=3))]
        after = me.memory_info().rss
    return {
        "killed": group.kills,
        "deaths": died,
        "refused": refused,
        "own process before": before,
        "own process after": after,
        "answers again": bool(pieces),
        "children left": len(me.children()),
        "pid": os.getpid(),
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--memory-max", type=int, default=400, help="in MiB")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        catalog = Catalog(root / "models")
        for number, name in enumerate("ab"):
            catalog.import_gguf(write_model(root / f"{name}.gguf", seed=number, shape=_SHAPE))
        with limited(options.memory_max << 20) as group:
            told = asyncio.run(overcommit(root, group))
    print(json.dumps(told) if options.json else "\n".join(f"{name}: {value}" for name, value in told.items()))
    return 0 if told["killed"] and told["answers again"] and not told["children left"] else 1


if __name__ == "__main__":
    sys.exit(main())
