"""Checks that the kernel kills a model's process and not the service when memory runs out, and that answers go on.

    python -m benchmarks.overcommit [--memory-max 400] [--json]

Needs root. Loads two models under a control group's limit (in MiB) that has room for one. The manager has an unlimited
budget, as if the estimate were wrong, so the kernel must kill a process. Prints which process it killed, the resident
memory of this process before and after, and whether the model answers again. Exit code 1 if nothing was killed, the
model does not answer, or a child is left over.
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
    """Loads both models, then asks one; returns the findings by name. Sizes in bytes."""
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
            findings = asyncio.run(overcommit(root, group))
    print(json.dumps(findings) if options.json else "\n".join(f"{name}: {value}" for name, value in findings.items()))
    return 0 if findings["killed"] and findings["answers again"] and not findings["children left"] else 1


if __name__ == "__main__":
    sys.exit(main())
