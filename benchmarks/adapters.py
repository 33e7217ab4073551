"""Measures a switch between two resident LoRA adapters, beside `llama_cpp.Llama`, which reloads the model for one.

    python -m benchmarks.adapters --model MODEL.gguf [--rounds 40] [--reloads 3] [--threads N]

Makes its own adapters: rank 16, random weights, on the queries and the second feed-forward matrix of every layer.
`step` compares one request that decodes alone with two that take turns, each with its own adapter, which switches
before every token. `request` compares requests to the model's process that use the previous request's adapter with
requests that use the other one. The peer binds one adapter in its constructor, so it switches by loading everything
again. Prints medians; there is no pass or fail.
"""

import argparse
import asyncio
import gc
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from random import Random

import gguf
import llama_cpp

from models.child_process.child import Child
from models.child_process.messages import AdapterUse, Finished, Generate, path_text
from models.child_process.spawner import Spawner
from models.types import GenerationRequest, LoadSettings, Sampling
from models.worker.engine import Engine
from models.worker.scheduling.batcher import Batcher, Job
from models.worker.scheduling.output import Output
from tests.gguf_builder import Shape, write_adapter

RANK, PROMPT, TOKENS_OF_A_TURN = 16, 16, 16


def make_adapters(model: Path, folder: Path) -> list[AdapterUse]:
    """Writes two random adapters that fit the model."""
    reader = gguf.GGUFReader(model)

    def read(key: str) -> object:
        field = reader.get_field(key)
        assert field is not None, key
        return field.contents()

    architecture = str(read("general.architecture"))
    layers, width, inner = (
        int(str(read(f"{architecture}.{key}"))) for key in ("block_count", "embedding_length", "feed_forward_length")
    )
    shape = Shape(layers=layers, width=width, feed_forward=inner)
    paths = [
        write_adapter(
            folder / f"{name}.gguf", shape=shape, seed=seed, rank=RANK, strength=0.05, architecture=architecture
        )
        for seed, name in enumerate("ab")
    ]
    return [AdapterUse(key=path.name, path=path_text(path), scale=1.0) for path in paths]


class Steps:
    """Times single decode steps in this process, in seconds."""

    def __init__(self, model: Path, settings: LoadSettings, adapters: Sequence[AdapterUse]) -> None:
        self._engine = Engine(path_text(model), settings)
        self._random = Random(1)
        self._adapters = adapters
        self.loading = [self._load(use) for use in adapters]

    def _load(self, use: AdapterUse) -> float:
        began = time.perf_counter()
        self._engine.adapters.load(use)
        return time.perf_counter() - began

    def same(self) -> list[float]:
        """One request whose adapter stays applied."""
        return self._run(self._adapters[:1])

    def switching(self) -> list[float]:
        """Two requests with different adapters that take turns."""
        return self._run(self._adapters)

    def applying(self) -> float:
        """Seconds of a switch without a decode step."""
        began = time.perf_counter()
        for use in self._adapters:
            self._engine.use_adapters(((use.key, use.scale),))
        return (time.perf_counter() - began) / len(self._adapters)

    def _run(self, adapters: Sequence[AdapterUse]) -> list[float]:
        batcher = Batcher(self._engine)
        jobs = [self._job(number, use) for number, use in enumerate(adapters)]
        for job in jobs:
            batcher.submit(job)
        while any(job.made < 2 for job in jobs):
            batcher.step()
        seconds = []
        for _ in range(TOKENS_OF_A_TURN):
            began = time.perf_counter()
            batcher.step()
            seconds.append(time.perf_counter() - began)
        for job in jobs:
            batcher.cancel(job.id)
        return seconds

    def _job(self, number: int, use: AdapterUse) -> Job:
        prompt = [self._random.randrange(self._engine.vocabulary.size) for _ in range(PROMPT)]
        sampler = self._engine.sampler(Sampling())
        return Job(number, prompt, 200, sampler, Output(number), ((use.key, use.scale),), speculate=False)

    def close(self) -> None:
        self._engine.close()


async def requests(
    model: Path, settings: LoadSettings, adapters: Sequence[AdapterUse], rounds: int
) -> tuple[list[float], list[float]]:
    """Seconds of requests that keep the adapter of the request before, and of requests that switch."""
    same, switched = [], []
    with Spawner() as spawner:
        child = await Child.start("bench", model, settings, spawner, deadline_s=300)
        for use in adapters:
            await _request(child, use, f"{use.key} is taken in")
        for number in range(rounds):
            first, other = adapters if number % 2 else adapters[::-1]
            await _request(child, first, f"{number} begins")
            same.append(await _request(child, first, f"{number} goes on"))
            switched.append(await _request(child, other, f"{number} is another"))
        await child.stop()
    return same, switched


async def _request(child: Child, use: AdapterUse, start: str) -> float:
    """Seconds to generate one token for a prompt that shares no prefix with another."""
    prompt = f"{start}, and what it says is as long as that of the others"
    request = GenerationRequest(prompt=prompt, max_tokens=1)
    began = time.perf_counter()
    channel = child.send(lambda number: Generate(id=number, request=request, adapters=(use,)))
    while not isinstance(await channel.next(), Finished):
        pass
    return time.perf_counter() - began


def reloads(model: Path, settings: LoadSettings, adapters: Sequence[AdapterUse], count: int) -> list[float]:
    """Seconds that `llama_cpp.Llama` takes to replace one adapter by the other, up to the first token."""
    seconds = []
    for number in range(count + 1):
        began = time.perf_counter()
        llama = llama_cpp.Llama(
            str(model),
            lora_path=os.fspath(Path(adapters[number % 2].path)),
            n_ctx=settings.context,
            n_batch=settings.batch,
            n_ubatch=settings.batch,
            n_threads=settings.threads,
            n_threads_batch=settings.threads,
            flash_attn=True,
            verbose=False,
        )
        llama("what it says is as long as that of the others", max_tokens=1)
        seconds.append(time.perf_counter() - began)
        llama.close()
        del llama
        gc.collect()
    return seconds[1:]  # the first one is a first load


def use_child_environment() -> None:
    """Restarts this program with the OpenMP setting of a model's process, which OpenMP reads when it is loaded."""
    if os.environ.get("GOMP_SPINCOUNT") != "1000":
        os.environ["GOMP_SPINCOUNT"] = "1000"
        os.execv(sys.executable, [sys.executable, "-m", "benchmarks.adapters", *sys.argv[1:]])


def main() -> None:
    use_child_environment()
    parser = argparse.ArgumentParser(description="Time of an adapter switch, beside a reload.")
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--rounds", type=int, default=40)
    parser.add_argument("--reloads", type=int, default=3)
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    options = parser.parse_args()
    settings = LoadSettings(context=1024, threads=options.threads)
    print(f"{options.model.name}, load average {os.getloadavg()[0]:.1f}")
    with tempfile.TemporaryDirectory(prefix="docent-adapters-") as folder:
        adapters = make_adapters(options.model, Path(folder))
        steps = Steps(options.model, settings, adapters)
        same: list[float] = []
        switching: list[float] = []
        applying: list[float] = []
        for _ in range(max(1, options.rounds // 4)):
            same += steps.same()
            switching += steps.switching()
            applying.append(steps.applying())
        print(f"loading an adapter: {_ms(steps.loading)}; applying it: {_ms(applying)}")
        steps.close()
        _compare("step of one token", same, switching)
        _compare(
            "request, to its first token", *asyncio.run(requests(options.model, settings, adapters, options.rounds))
        )
        full = reloads(options.model, settings, adapters, options.reloads)
        print(f"llama_cpp.Llama, a reload with the other adapter and its first token: {statistics.median(full):.2f} s")


def _compare(what: str, same: Sequence[float], switched: Sequence[float]) -> None:
    added = statistics.median(switched) - statistics.median(same)
    print(f"{what}: {_ms(same)} with the same adapter, {_ms(switched)} with the other: {added * 1000:+.2f} ms")


def _ms(seconds: Sequence[float]) -> str:
    return f"{statistics.median(seconds) * 1000:.2f} ms"


if __name__ == "__main__":
    main()
