"""Runs all benchmarks of the model side on one model, one after the other, each in processes of its own.

    python -m benchmarks.models --model MODEL.gguf [--llama-batched-bench PATH] [--threads 2] [--rounds 5]

Runs `benchmarks.engine` (only if --llama-batched-bench is given), `benchmarks.caching` and `benchmarks.adapters`. A
model with random weights in a real shape is enough, since speed does not depend on the text. The machine should be
otherwise idle. Exit code 1 if one of them fails.
"""

import argparse
import os
import subprocess
import sys
from pathlib import Path


def main() -> None:
    parser = argparse.ArgumentParser(description="All benchmarks of the model side.")
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--llama-batched-bench", type=Path, metavar="PATH")
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    model, threads, rounds = str(options.model), str(options.threads), options.rounds
    runs = [
        ["caching", model, "--threads", threads, "--rounds", str(rounds)],
        ["adapters", "--model", model, "--threads", threads, "--rounds", str(8 * rounds)],
    ]
    if options.llama_batched_bench:
        tool = str(options.llama_batched_bench)
        engine = ["engine", "--llama-batched-bench", tool, "--model", model, "--threads", threads]
        runs.insert(0, [*engine, "--rounds", str(rounds)])
    failed = False
    for name, *arguments in runs:
        print(f"\n== {name} ==", flush=True)
        failed |= subprocess.run([sys.executable, "-m", f"benchmarks.{name}", *arguments]).returncode != 0
    sys.exit(failed)


if __name__ == "__main__":
    main()
