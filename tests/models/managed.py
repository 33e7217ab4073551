"""A manager over a folder of tiny models, with helpers to use it and to wait for it."""

import asyncio
import shutil
import tempfile
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from models.adapters.catalog import AdapterCatalog
from models.catalog.catalog import Catalog
from models.residency.lease import Generation, Lease
from models.residency.manager import Manager, ModelDefaults
from models.types import ChatMessage, FinalPiece, GenerationRequest, Sampling, TextPiece
from tests.gguf_builder import Shape, write_adapter, write_model

HELLO = (ChatMessage(role="user", content="is the pump open?"),)
LOOPING = "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}"
WARM = Sampling(temperature=1.0, seed=1)  # greedy random weights may end at once
MEASURED = "measurements.json"
FAST = ModelDefaults(context=512, threads=1, wait_s=30.0)


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def make_home(root: Path) -> Path:
    """Folders with the models a, b, c, one that llama.cpp refuses, one with a bad template, and two adapters."""
    catalog, adapters = Catalog(root / "models"), AdapterCatalog(root / "adapters")
    for number, name in enumerate("abc"):
        catalog.import_gguf(write_model(root / f"{name}.gguf", seed=number, shape=Shape(context=4096)))
    catalog.import_gguf(write_model(root / "refused.gguf", without="output_norm.weight"))
    catalog.import_gguf(write_model(root / "looping.gguf", template=LOOPING))
    adapters.import_gguf(write_adapter(root / "polite.gguf", strength=1.0))
    adapters.import_gguf(write_adapter(root / "foreign.gguf", architecture="qwen2"))
    return root


@asynccontextmanager
async def managed(home: Path, defaults: ModelDefaults = FAST, **options: Any) -> AsyncIterator[Manager]:
    """A manager with pins of its own. It reuses earlier measurements, because dry runs take time."""
    catalog, adapters = Catalog(home / "models"), AdapterCatalog(home / "adapters")
    options.setdefault("budget_bytes", 1 << 30)
    with tempfile.TemporaryDirectory() as own:
        known, state = home / MEASURED, options.pop("state", None) or Path(own)
        if known.exists() and not (state / MEASURED).exists():
            shutil.copy(known, state / MEASURED)
        async with Manager(catalog, adapters, defaults=defaults, state=state, **options) as manager:
            yield manager
        if (state / MEASURED).exists():
            shutil.copy(state / MEASURED, known)


async def collect(generation: Generation) -> tuple[str, FinalPiece]:
    pieces = [piece async for piece in generation]
    final = pieces[-1]
    assert isinstance(final, FinalPiece)
    return "".join(piece.text for piece in pieces if isinstance(piece, TextPiece)), final


async def text_of(lease: Lease, prompt: str = "the pump is") -> str:
    return (await collect(lease.generate(GenerationRequest(prompt=prompt, max_tokens=12))))[0]


async def until(condition: Callable[[], bool], seconds: float = 10.0) -> None:
    """Wait for the effect of another process or task."""
    async with asyncio.timeout(seconds):
        while not condition():  # noqa: ASYNC110 - there is no event to wait for
            await asyncio.sleep(0.01)


def states(manager: Manager) -> dict[str, str]:
    return {state.spec.id: state.state for state in manager.states()}


def need(manager: Manager) -> int:
    """Bytes that one of the models needs."""
    return manager.need("a").ram


def kinds(manager: Manager, model_id: str = "") -> list[str]:
    """The kinds of the decisions, in order."""
    return [one.kind for one in manager.report().decisions if model_id in ("", one.model)]
