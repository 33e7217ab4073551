"""Checks the model manager under random loads, unloads, pins, questions and kills: six models, a budget for two.

    python -m benchmarks.soak [--operations 500] [--seed 1] [--memory-max 300M] [--json]

Checked throughout: the reserved memory, and the memory that the children really own, stay within the budget. Checked
for every operation: it succeeds or raises one of the package's own errors, before its deadline. Checked at the end: no
process, file descriptor, reservation, lease or task is left. Everything is real: llama.cpp, processes, signals. With
`--memory-max` it all runs under a control group's limit (as root); the budget is then the service's default share,
capped at the limit less this process's own memory. Exit code 1 if any fault is found.

Not covered: GPUs, and models of real size; these have a few hundred kilobytes.
"""

import argparse
import asyncio
import contextlib
import json
import os
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

import psutil

from benchmarks.limited import limited
from models.adapters.catalog import AdapterCatalog
from models.catalog.catalog import Catalog
from models.errors import ModelError
from models.hardware.ram import default_budget, measure
from models.residency.decision_log import Decision
from models.residency.manager import Manager, ModelDefaults
from models.types import AdapterRef, ChatMessage, GenerationRequest, Sampling
from tests.gguf_builder import Shape, write_adapter, write_model

MODELS = tuple(f"m{number}" for number in range(6))
ADAPTER = "polite"
_WAIT_S, _STALL_S = 20.0, 1.0
_DEADLINE_S = 60.0  # of one operation: the wait for the model, the wait for a turn, and the answer
_TOGETHER = 8
_WEIGHTS = {
    "ask": 50,
    "give up": 8,
    "load": 10,
    "unload": 10,
    "pin": 4,
    "unpin": 8,
    "kill": 6,
    "freeze": 1,
    "measure": 3,
}


@dataclass(slots=True)
class Outcome:
    """Results of a run; `faults` is empty if none was found. Sizes in bytes, times in seconds."""

    operations: int
    budget: int
    seconds: float = 0.0
    outcomes: Counter[str] = field(default_factory=Counter)
    decisions: Counter[str] = field(default_factory=Counter)
    most_reserved: int = 0
    most_owned: int = 0
    slowest: float = 0.0
    faults: list[str] = field(default_factory=list)


def make_models(root: Path) -> None:
    """Imports six models, and an adapter that fits all of them."""
    catalog, adapters = Catalog(root / "models"), AdapterCatalog(root / "adapters")
    for number, name in enumerate(MODELS):
        catalog.import_gguf(write_model(root / f"{name}.gguf", seed=number, shape=Shape(context=4096)))
    adapters.import_gguf(write_adapter(root / f"{ADAPTER}.gguf", strength=1.0))


async def soak(root: Path, operations: int, seed: int, budget: int | None = None) -> Outcome:
    """Runs random operations in a folder that `make_models` has filled; `budget` defaults to two and a half models."""
    before = _footprint()
    decisions: Counter[str] = Counter()
    lately: list[str] = []

    def decided(decision: Decision) -> None:
        decisions[decision.kind] += 1
        lately.append(f"{decision.kind} {decision.model}: {decision.why} {dict(decision.devices)}")

    defaults = ModelDefaults(
        context=512, threads=1, wait_s=_WAIT_S, stall_s=_STALL_S, watch_s=0.1, measure_s=0.5, cache_bytes=1 << 20
    )
    manager = Manager(
        Catalog(root / "models"),
        AdapterCatalog(root / "adapters"),
        budget_bytes=1 << 40,
        defaults=defaults,
        state=root,
        on_decision=decided,
    )
    one = max(manager.need(name).ram for name in MODELS)
    manager.budget_bytes = budget or int(one * 2.5)
    outcome = Outcome(operations, manager.budget_bytes, decisions=decisions)
    began = time.monotonic()
    async with manager:
        run = _Run(manager, Random(seed), outcome, lately)
        watching = asyncio.create_task(run.watch())
        await run.all(operations)
        watching.cancel()
        await asyncio.wait([watching])
        await run.clear_up()
    outcome.seconds = time.monotonic() - began
    after = _footprint()
    if after != before:
        outcome.faults.append(f"leaked: (descriptors, processes, tasks) were {before} and are {after}")
    return outcome


class _Run:
    def __init__(self, manager: Manager, random: Random, outcome: Outcome, lately: list[str]) -> None:
        self._manager = manager
        self._random = random
        self._outcome = outcome
        self._lately = lately

    async def all(self, operations: int) -> None:
        together = asyncio.Semaphore(_TOGETHER)

        async def one(name: str, model: str) -> None:
            async with together:
                await self._judge(name, model)

        names = self._random.choices([*_WEIGHTS], [*_WEIGHTS.values()], k=operations)
        await asyncio.gather(*(one(name, self._random.choice(MODELS)) for name in names))

    async def _judge(self, name: str, model: str) -> None:
        """Runs one operation and records whether it ends properly and in time."""
        began = time.monotonic()
        try:
            async with asyncio.timeout(_DEADLINE_S):
                await self._do(name, model)
            result = "done"
        except ModelError as error:
            result = type(error).__name__
            if not (error.what and error.why):
                self._outcome.faults.append(f"{name} {model}: an error without a reason: {error!r}")
        except TimeoutError:
            result = "overdue"
            self._outcome.faults.append(f"{name} {model}: not finished within {_DEADLINE_S:g} s")
        except Exception as error:  # noqa: BLE001 - any other exception is a fault to report
            result = "crashed"
            self._outcome.faults.append(f"{name} {model}: {error!r}")
        self._outcome.outcomes[f"{name}: {result}"] += 1
        self._outcome.slowest = max(self._outcome.slowest, time.monotonic() - began)

    def _do(self, name: str, model: str) -> Awaitable[object]:
        actions: dict[str, Callable[[], Awaitable[object]]] = {
            "ask": lambda: self._ask(model),
            "give up": lambda: self._give_up(model),
            "load": lambda: self._manager.load(model),
            "unload": lambda: self._manager.unload(model),
            "pin": lambda: self._pin(model),
            "unpin": lambda: self._manager.unpin(model),
            "kill": lambda: self._signal(signal.SIGKILL),
            "freeze": lambda: self._signal(signal.SIGSTOP),
            "measure": self._manager.measure,
        }
        return actions[name]()

    async def _ask(self, model: str) -> None:
        adapters = [AdapterRef(ADAPTER)] if self._random.random() < 0.3 else []
        prompt = ChatMessage(role="user", content="is the pump open? " * self._random.randint(1, 20))
        length = self._random.randint(1, 40)
        async with self._manager.lease(model, adapters) as lease:
            generation = lease.generate(
                GenerationRequest(messages=[prompt], max_tokens=length, sampling=Sampling(temperature=1.0))
            )
            async with generation:
                pieces = [piece async for piece in generation]
        if not pieces:
            raise AssertionError("the answer had no final piece")

    async def _give_up(self, model: str) -> None:
        """Asks, and cancels at a random moment."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._random.random()):
                await self._ask(model)

    async def _pin(self, model: str) -> None:
        """Pins the model unless another is pinned: two pinned models would leave no room for others."""
        if not any(state.pinned for state in self._manager.states()):
            await self._manager.pin(model)

    async def _signal(self, number: signal.Signals) -> None:
        if pids := [state.pid for state in self._manager.states() if state.pid]:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self._random.choice(pids), number)

    async def watch(self) -> None:
        """Checks the budget repeatedly, against the reservations and against the kernel's figures."""
        while True:
            report = self._manager.report()
            reserved, limit = report.used["ram"], report.limits["ram"]
            owned = [measure(holder.pid) for holder in report.holders if holder.pid]
            really = sum(found.private for found in owned if found)
            self._outcome.most_reserved = max(self._outcome.most_reserved, reserved)
            self._outcome.most_owned = max(self._outcome.most_owned, really)
            if reserved > limit:
                self._outcome.faults.append(
                    f"{reserved} bytes reserved of {limit} after {'; '.join(self._lately[-4:])}"
                )
            if really > limit:
                self._outcome.faults.append(f"{really} bytes owned of {limit} after {'; '.join(self._lately[-4:])}")
            await asyncio.sleep(0.02)

    async def clear_up(self) -> None:
        """Unloads everything after the last operation, and records whatever is still held."""
        for state in self._manager.states():
            await self._manager.unpin(state.spec.id)
            if state.leases:
                self._outcome.faults.append(f"{state.spec.id} still has {state.leases} leases")
        deadline = time.monotonic() + _DEADLINE_S
        while self._manager.report().holders and time.monotonic() < deadline:
            for state in self._manager.states():
                with contextlib.suppress(ModelError):
                    await self._manager.unload(state.spec.id)
            await asyncio.sleep(0.05)
        report = self._manager.report()
        if report.holders or report.waiting or report.used["ram"]:
            self._outcome.faults.append(f"still held at the end: {report.holders}, {report.waiting} waiting")


def _footprint() -> tuple[int, int, int]:
    me = psutil.Process()
    return me.num_fds(), len(me.children()), len(asyncio.all_tasks())


def _size(text: str) -> int:
    units = {"K": 10, "M": 20, "G": 30}
    return int(text[:-1]) << units[text[-1].upper()] if text[-1:].upper() in units else int(text)


def _report(outcome: Outcome, *, as_json: bool) -> None:
    if as_json:
        print(json.dumps({name: getattr(outcome, name) for name in Outcome.__slots__}, indent=2))
        return
    mib = 1 << 20
    print(f"{outcome.operations} operations in {outcome.seconds:.1f} s, the slowest {outcome.slowest:.1f} s")
    print(
        f"budget {outcome.budget / mib:.1f} MiB; at most {outcome.most_reserved / mib:.1f} MiB reserved, "
        f"{outcome.most_owned / mib:.1f} MiB owned by the children"
    )
    for title, counts in (("outcomes", outcome.outcomes), ("decisions", outcome.decisions)):
        print(f"{title}: {', '.join(f'{name} {count}' for name, count in sorted(counts.items()))}")
    print("\n".join(outcome.faults) or "no faults")


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--operations", type=int, default=500)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--memory-max", type=_size, help="run under a control group's limit, such as 300M; as root")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as stack:
        make_models(Path(folder))
        budget = group = None
        if options.memory_max:
            own = psutil.Process().memory_full_info().uss
            group = stack.enter_context(limited(options.memory_max))
            budget = min(default_budget(), options.memory_max - own - (16 << 20))
        outcome = asyncio.run(soak(Path(folder), options.operations, options.seed, budget))
        if group is not None and group.kills:
            outcome.faults.append(f"the kernel killed {group.kills} processes for memory")
        _report(outcome, as_json=options.json)
        if group is not None:
            print(f"limit {options.memory_max >> 20} MiB; at most {group.peak >> 20} MiB charged, {group.kills} killed")
    return 1 if outcome.faults else 0


if __name__ == "__main__":
    sys.exit(main())
