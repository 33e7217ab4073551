"""Measures layers placed on NVIDIA GPUs: memory of each GPU beside the prediction, and speed beside llama-bench.

    python -m benchmarks.gpu MODEL.gguf [--layers N] [--context 8192] [--llama-bench PATH]

Needs nvidia-ml-py and a llama-cpp-python built with CUDA (CMAKE_ARGS="-DGGML_CUDA=on"). Build llama-bench from the same
sources. Without --layers it places as many as fit, as the service does. There is no pass or fail; exit code 1 means
that no GPU can be used here.
"""

import argparse
import asyncio
import json
import subprocess
import sys
from pathlib import Path
from typing import Final

from models.catalog.catalog import ModelSpec
from models.child_process.child import Child
from models.child_process.messages import Finished, Generate
from models.child_process.spawner import Spawner
from models.formats.gguf_header import read_header
from models.hardware.gpus import Devices
from models.hardware.ram import RAM, default_budget
from models.memory.estimator import Estimator
from models.memory.measurements import Measurements
from models.memory.need import Need
from models.types import GenerationRequest, LoadSettings

PROMPT: Final = 512
ANSWER: Final = 128
MB: Final = 1e6


async def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path)
    parser.add_argument("--layers", type=int)
    parser.add_argument("--context", type=int, default=8192)
    parser.add_argument("--llama-bench", type=Path)
    arguments = parser.parse_args()
    devices = Devices()
    if not devices.gpus():
        print("not run: NVML shows no GPU here")
        return 1
    path = arguments.model.resolve()
    spec = ModelSpec("bench", path, path.stat().st_size, "0" * 64, "", path.name, read_header(path))
    requested = LoadSettings(context=arguments.context, batch=512, parallel=4)
    with Spawner() as spawner:
        estimator = Estimator(spawner, Measurements(None), devices)
        settings = await _placed(estimator, spec, requested, devices, arguments.layers)
        if not settings.gpu_layers:
            print("not run: the installed llama.cpp uses no GPU, or not one layer fits")
            return 1
        before = {gpu.device: gpu.used for gpu in devices.gpus()}
        first = Estimator(spawner, Measurements(None), devices).quick(spec, settings)
        second = await estimator.refine(spec, settings)
        await _measured(spec, settings, spawner, devices, before, (first, second))
    if arguments.llama_bench:
        _beside(arguments.llama_bench, path, settings)
    return 0


async def _placed(
    estimator: Estimator, spec: ModelSpec, requested: LoadSettings, devices: Devices, layers: int | None
) -> LoadSettings:
    if layers is not None:
        return requested.model_copy(update={"gpu_layers": layers})
    return await estimator.placed(spec, requested, {RAM: default_budget(), **devices.budgets()})


async def _measured(
    spec: ModelSpec,
    settings: LoadSettings,
    spawner: Spawner,
    devices: Devices,
    before: dict[str, int],
    predicted: tuple[Need, Need],
) -> None:
    child = await Child.start(spec.id, spec.path, settings, spawner, deadline_s=600)
    try:
        for _ in range(2):  # the first warms up
            done = await _answer(child)
        used = {gpu.device: gpu.used - before[gpu.device] for gpu in devices.gpus()}
        found = devices.measure(child.pid)
    finally:
        await child.stop()
    print(f"{settings.gpu_layers} of {spec.header.layers + 1} layers placed")
    for device, grown in used.items():
        measured = found.gpus.get(device, grown) if found else grown
        sizes = " ".join(f"{need.source} {need.devices.get(device, 0) / MB:.0f}" for need in predicted)
        print(
            f"{device}: MB predicted by {sizes}, measured {measured / MB:.0f} (use of the GPU grew by {grown / MB:.0f})"
        )
    tokens = done.usage
    print(
        f"prefill {tokens.prompt_tokens / done.prefill_s:.1f}, decode {tokens.completion_tokens / done.decode_s:.1f} tok/s"
    )


async def _answer(child: Child) -> Finished:
    request = GenerationRequest(prompt=" the" * PROMPT, max_tokens=ANSWER, speculate=False)
    channel = child.send(lambda number: Generate(id=number, request=request))
    while not isinstance(event := await channel.next(), Finished):
        assert event.type != "refused", event
    return event


def _beside(tool: Path, model: Path, settings: LoadSettings) -> None:
    command = [tool, "-m", model, "-ngl", settings.gpu_layers, "-p", PROMPT, "-n", ANSWER, "-b", "512", "-o", "json"]
    done = subprocess.run([str(word) for word in command], capture_output=True, check=True)
    for row in json.loads(done.stdout):
        print(f"llama-bench: {'prefill' if row['n_prompt'] else 'decode'} {row['avg_ts']:.1f} tok/s")


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
