"""Measures prefill and decoding of 1, 4 and 8 sequences, beside `llama-batched-bench` of the same llama.cpp.

    python -m benchmarks.engine --llama-batched-bench PATH --model MODEL.gguf [--rounds 5] [--threads 2]

Three candidates take turns, each in a process of its own that loads the model afresh: the peer; `inside`, the engine
and its batcher driven directly; `child`, the same behind its process's socket, as the service uses it. All share the
context, batch and micro batch, threads, KV type, unified KV, flash attention and OpenMP environment. The peer loads the
libraries that the Python bindings install, if its own have the same names (`--own-libraries` keeps its own). One
difference remains: the peer samples no tokens, ours take the most likely one. Neither side drafts.
Prints medians over the rounds, and the median of the ratios within each round. There is no pass or fail; exit code 1
means that a candidate did not run.

Build the peer from the sources in llama-cpp-python's source archive. In the unpacked folder:

    cmake -B build -DCMAKE_BUILD_TYPE=Release -DLLAMA_BUILD_TOOLS=ON -DLLAMA_BUILD_SERVER=OFF -DLLAVA_BUILD=OFF
    cmake --build build --target llama-batched-bench
"""

import argparse
import importlib.util
import json
import os
import statistics
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from benchmarks.engine_plan import PLAN, Setup

Figures = dict[str, float]
"""Tokens per second, by the name of the figure."""


def environment(extra: dict[str, str] | None = None) -> dict[str, str]:
    """The environment of a model's child process, see `models.child_process.spawner`."""
    return {**os.environ, "GOMP_SPINCOUNT": "1000", "GGML_NO_BACKTRACE": "1", **(extra or {})}


def peer(tool: Path, model: Path, setup: Setup, *, own_libraries: bool) -> Figures:
    """Runs `llama-batched-bench` once."""
    command = [str(tool), "-m", str(model), "--output-format", "jsonl", "-ngl", "0", "-kvu",
               "-c", str(setup.cells), "-b", str(setup.batch), "-ub", str(setup.batch), "-fa", "auto",
               "-t", str(setup.threads), "-tb", str(setup.threads), "-ctk", setup.kv_type, "-ctv", setup.kv_type,
               "-npp", ",".join(map(str, PLAN.prompts)), "-ntg", str(PLAN.answer),
               "-npl", ",".join(map(str, PLAN.sequences))]  # fmt: skip
    libraries = {} if own_libraries else {"LD_LIBRARY_PATH": str(bindings_libraries())}
    done = subprocess.run(command, capture_output=True, text=True, env=environment(libraries))
    rows = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    if done.returncode or not rows:
        sys.exit(f"{tool} failed with {done.returncode}:\n{done.stderr[-2000:]}")
    figures: Figures = {}
    for row in rows:
        found = {"prefill": row["speed_pp"], "decode": row["speed_tg"], "whole": row["speed"]}
        figures |= PLAN.named(row["pp"], row["pl"], found)
    return figures


def bindings_libraries() -> Path:
    """The folder of the libraries that llama-cpp-python loads."""
    spec = importlib.util.find_spec("llama_cpp")
    assert spec is not None
    assert spec.origin is not None
    return Path(spec.origin).parent / "lib"


def ours(way: str, model: Path, setup: Setup) -> Figures:
    """Runs `benchmarks.engine_inside` or `benchmarks.engine_child` once."""
    command = [sys.executable, "-m", f"benchmarks.engine_{way}", str(model), json.dumps(asdict(setup))]
    done = subprocess.run(command, capture_output=True, text=True, env=environment())
    if done.returncode:
        sys.exit(f"{way} failed with {done.returncode}:\n{done.stderr[-2000:]}")
    figures: Figures = json.loads(done.stdout.splitlines()[-1])
    return figures


def show(rounds: Sequence[dict[str, Figures]]) -> None:
    """Prints each figure's median by candidate, and ours divided by the peer's."""
    print(
        f"{'tokens/s, medians of ' + str(len(rounds)) + ' rounds':34}{'peer':>9}{'inside':>9}{'ratio':>7}{'child':>9}{'ratio':>7}"
    )
    for name in rounds[0]["peer"]:
        line = f"{name:34}{_median(rounds, 'peer', name):9.1f}"
        for way in ("inside", "child"):
            if name not in rounds[0][way]:
                line += f"{'':16}"
                continue
            ratio = statistics.median(one[way][name] / one["peer"][name] for one in rounds)
            line += f"{_median(rounds, way, name):9.1f}{ratio:7.3f}"
        print(line)
    for name in ("python, share of a step", "sampling, share of a step"):
        print(f"{name:43}{_median(rounds, 'inside', name):9.4f}")


def _median(rounds: Sequence[dict[str, Figures]], way: str, name: str) -> float:
    return statistics.median(one[way][name] for one in rounds)


def main() -> None:
    parser = argparse.ArgumentParser(description="Speed of the engine, beside llama-batched-bench.")
    parser.add_argument("--llama-batched-bench", type=Path, required=True, metavar="PATH")
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--kv-type", default="f16")
    parser.add_argument(
        "--own-libraries", action="store_true", help="let llama-batched-bench load its own llama.cpp libraries"
    )
    parser.add_argument("--json", type=Path, help="write the figures of every round to this file")
    options = parser.parse_args()
    setup = Setup(PLAN.cells, options.batch, options.threads, options.kv_type)
    print(f"{options.model.name}: {setup}, load average {os.getloadavg()[0]:.1f}", flush=True)
    rounds: list[dict[str, Figures]] = []
    ways = {
        "peer": lambda: peer(options.llama_batched_bench, options.model, setup, own_libraries=options.own_libraries),
        "inside": lambda: ours("inside", options.model, setup),
        "child": lambda: ours("child", options.model, setup),
    }
    order = list(ways)
    for number in range(options.rounds):
        found = {way: ways[way]() for way in order}
        order = [*order[1:], order[0]]  # rotated, because the first candidate runs on a cooler machine
        rounds.append(found)
        print(f"round {number + 1} of {options.rounds} done, load average {os.getloadavg()[0]:.1f}", file=sys.stderr)
        if options.json:
            options.json.write_text(json.dumps(rounds, indent=1))
    show(rounds)


if __name__ == "__main__":
    main()
