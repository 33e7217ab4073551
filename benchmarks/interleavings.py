"""Checks that requests that run together, share prefixes and swap adapters get the answers each would get alone.

    python -m benchmarks.interleavings [--rounds 50] [--seed 0] [--ignore-adapters] [--flash-attention]

Each round submits random requests at random steps to one engine on a tiny real model. The cells are few, so prefixes
are dropped, saved and restored, and requests are preempted; the answers repeat themselves, so drafts are right and
wrong; some requests are cancelled. Each answer is compared with that of a model loaded afresh for it alone. Rule: the
tokens are equal, or first differ where the two best logits are within 1e-3, since sums in another order round
differently. llama.cpp's flash attention sums in 16 bits on a CPU, which moves these logits by up to 0.02, so it is off;
`--flash-attention` turns it on. `--ignore-adapters` looks up KV by tokens alone, an error that the check must notice.
Exit code 1 if an answer is wrong.
"""

import argparse
import sys
import tempfile
from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Final, TypeVar

import numpy as np

from models.child_process.messages import AdapterUse, Finished, path_text
from models.types import LoadSettings, Sampling
from models.worker.engine import Engine, Sampler
from models.worker.engine.sampler import Choice
from models.worker.scheduling.batcher import AdapterSet, Batcher, Job
from models.worker.scheduling.output import Output
from models.worker.scheduling.sequences import Maker, exact
from models.worker.scheduling.speculation import Costs
from tests.gguf_builder import vocabulary, write_adapter, write_model

Kind = TypeVar("Kind", bound=Engine)
TIE: Final = 1e-3
SETTINGS: Final = LoadSettings(
    context=256, cells=512, parallel=6, batch=32, threads=1, cache_bytes=200_000, kv_type="f32", flash_attention=False
)
ADAPTERS: Final[Sequence[AdapterSet]] = ((), (("a", 1.0),), (("a", 0.5),), (("b", 1.0),), (("a", 1.0), ("b", 0.5)))


class Eager(Costs):
    """Always drafts, so that most drafts are wrong and must be rolled back."""

    def pays(self, tokens: int, sure: float, drafted: int, expected: float) -> bool:
        return drafted > 0


@dataclass(frozen=True)
class Request:
    """One request of a round."""

    tokens: tuple[int, ...]
    adapters: AdapterSet
    limit: int


@dataclass
class Tally:
    """Counts of a run; `differences` are (round, request, position, margin between the two best logits)."""

    requests: int = 0
    tokens: int = 0
    cached: int = 0
    prompts: int = 0
    drafted: int = 0
    accepted: int = 0
    steps: int = 0
    running: int = 0
    saved: int = 0
    differences: list[tuple[int, int, int, float]] = field(default_factory=list)

    @property
    def mean_running(self) -> float:
        return self.running / max(1, self.steps)

    @property
    def ties(self) -> int:
        return sum(margin < TIE for *_, margin in self.differences)

    @property
    def wrong(self) -> list[tuple[int, int, int, float]]:
        return [difference for difference in self.differences if difference[-1] >= TIE]


class Listener(Engine):
    """An engine that records the margin between the two best logits at each sampled token."""

    margins: list[float]

    def sample(self, sampler: Sampler, index: int) -> Choice:
        second, first = np.partition(self.logits(index), -2)[-2:]
        self.margins.append(float(first - second))
        return super().sample(sampler, index)


class Alone:
    """Answers each distinct request once, with a model loaded afresh."""

    def __init__(self, folder: Path, settings: LoadSettings) -> None:
        self._folder = folder
        self._settings = settings.model_copy(update={"parallel": 1, "cache_bytes": 0})
        self._known: dict[Request, tuple[list[int], list[float]]] = {}

    def answer(self, request: Request) -> tuple[list[int], list[float]]:
        """The tokens of the answer, and for each the margin between the two best logits."""
        if request not in self._known:
            engine = load(self._folder, self._settings, request.adapters, Listener)
            engine.margins = []
            job = job_of(0, request, engine, speculate=False)
            run = Batcher(engine)
            run.submit(job)
            while run.busy:
                run.step()
            engine.close()
            self._known[request] = (job.tokens[job.prompt_tokens :], engine.margins)
        return self._known[request]


def write_files(folder: Path) -> Path:
    """Writes a model and two adapters into the folder."""
    write_model(folder / "m.gguf")
    write_adapter(folder / "a.gguf", seed=1, strength=0.7)
    write_adapter(folder / "b.gguf", seed=2, strength=0.7)
    return folder


def load(folder: Path, settings: LoadSettings, adapters: Iterable[tuple[str, float]], kind: type[Kind]) -> Kind:
    """Loads an engine with exactly these adapters resident."""
    engine = kind(path_text(folder / "m.gguf"), settings)
    for key, _ in adapters:
        engine.adapters.load(AdapterUse(key=key, path=path_text(folder / f"{key}.gguf"), scale=1.0))
    return engine


def make_requests(random: Random, count: int, adapters: Sequence[AdapterSet] = ADAPTERS) -> list[Request]:
    """Random requests, many with a common prefix of some length, with the same and with different adapters."""
    size = len(vocabulary()[0])
    words = (size, size, 30)  # a text of few distinct words yields many drafts
    texts = [[1, *(random.randrange(max(3, size - many), size) for _ in range(120))] for many in words]
    made = []
    for _ in range(count):
        text = random.choice(texts)
        shared = text[: random.choice((1, 20, 33, 64, 100, 120))]
        own = [random.randrange(3, size) for _ in range(random.choice((1, 2, 5, 30)))]
        made.append(Request((*shared, *own), random.choice(adapters), random.choice((1, 4, 12, 90))))
    return made


def job_of(number: int, request: Request, engine: Engine, *, speculate: bool = True) -> Job:
    sampler = engine.sampler(Sampling())
    return Job(number, list(request.tokens), request.limit, sampler, Output(number), request.adapters, speculate)


def play(
    random: Random, engine: Engine, batcher: Batcher, requested: Sequence[Request], tally: Tally
) -> dict[int, Job]:
    """Submits, steps and cancels at random; returns the finished jobs by the index of their request."""
    jobs = [job_of(number, request, engine) for number, request in enumerate(requested)]
    coming = list(jobs)
    ended: dict[int, Job] = {}
    while coming or batcher.busy:
        while coming and (random.random() < 0.7 or not batcher.busy):
            batcher.submit(coming.pop(0))
        if random.random() < 0.02:
            batcher.cancel(random.randrange(len(jobs)))
        for event in batcher.step():
            if isinstance(event, Finished):
                ended[event.id] = jobs[event.id]
                tally.cached += event.usage.cached_tokens
                tally.prompts += event.usage.prompt_tokens
                tally.drafted += event.drafted
                tally.accepted += event.accepted
        tally.steps += 1
        tally.running += batcher.running
        tally.saved = max(tally.saved, batcher.kv.states.held)
    return ended


def first_difference(one: Sequence[int], other: Sequence[int]) -> int | None:
    """Index of the first token that differs; None if the answers are equal."""
    same = [left == right for left, right in zip(one, other, strict=False)]
    if all(same):
        return None if len(one) == len(other) else len(same)
    return same.index(False)


def check(
    folder: Path,
    rounds: int,
    *,
    seed: int = 0,
    requests: int = 24,
    key: Callable[[Maker], Hashable] = exact,
    settings: LoadSettings = SETTINGS,
    adapters: Sequence[AdapterSet] = ADAPTERS,
) -> Tally:
    """Plays rounds on one engine and compares each answer with that of a fresh engine."""
    engine = load(folder, settings, [use for one in adapters for use in one], Engine)
    alone, tally = Alone(folder, settings), Tally()
    batcher = Batcher(engine, key=key, costs=Eager())
    for number in range(rounds):
        random = Random(seed + number)
        requested = make_requests(random, requests, adapters)
        for place, job in play(random, engine, batcher, requested, tally).items():
            answer = job.tokens[job.prompt_tokens :]
            expected, margins = alone.answer(requested[place])
            tally.requests += 1
            tally.tokens += len(answer)
            at = first_difference(answer, expected)
            if at is not None:
                tally.differences.append((number, place, at, margins[at]))
    engine.close()
    return tally


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=50)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--ignore-adapters", action="store_true", help="look up KV by tokens alone: must be noticed")
    parser.add_argument("--flash-attention", action="store_true", help="sum in 16 bits, as the service does")
    options = parser.parse_args()
    key: Callable[[Maker], Hashable] = (lambda _: ()) if options.ignore_adapters else exact
    settings = SETTINGS.model_copy(update={"flash_attention": options.flash_attention})
    with tempfile.TemporaryDirectory() as folder:
        tally = check(write_files(Path(folder)), options.rounds, seed=options.seed, key=key, settings=settings)
    print(f"requests {tally.requests}, tokens {tally.tokens}, running on average {tally.mean_running:.2f}")
    print(f"prompt tokens {tally.prompts}, of them cached {tally.cached}; saved up to {tally.saved} bytes")
    print(f"drafted {tally.drafted}, accepted {tally.accepted}")
    print(f"answers that differ: {len(tally.differences)}, of them within {TIE} of a tie: {tally.ties}")
    for difference in tally.wrong[:20]:
        print("wrong: round {}, request {}, token {}, margin {:.4f}".format(*difference))
    sys.exit(1 if tally.wrong else 0)


if __name__ == "__main__":
    main()
