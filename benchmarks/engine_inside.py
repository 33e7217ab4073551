"""Measures the engine and its batcher in this process, for `benchmarks.engine`; prints one JSON object.

Also divides the time of a step into llama.cpp's decoding, sampling, and the rest, which is Python.
"""

import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from random import Random

from benchmarks.engine_plan import PLAN, Setup
from models.child_process.messages import path_text
from models.types import LoadSettings, Sampling
from models.worker.engine import Engine, Sampler
from models.worker.engine.batch import BatchSpan
from models.worker.engine.sampler import Choice
from models.worker.scheduling.batcher import Batcher, Job
from models.worker.scheduling.output import Output


class Timed(Engine):
    """Adds up the seconds of decoding and of sampling."""

    decoding = sampling = 0.0

    def decode(self, spans: Sequence[BatchSpan]) -> None:
        began = time.perf_counter()
        super().decode(spans)
        self.decoding += time.perf_counter() - began

    def sample(self, sampler: Sampler, index: int) -> Choice:
        began = time.perf_counter()
        choice = super().sample(sampler, index)
        self.sampling += time.perf_counter() - began
        return choice


class Case:
    """Runs `sequences` requests with prompts of `prompt` random tokens, on an empty cache."""

    def __init__(self, engine: Engine, prompt: int, sequences: int, random: Random, answer: int) -> None:
        self._batcher = Batcher(engine)
        self._sequences = sequences
        self._prompt = prompt
        self._jobs = [
            Job(
                number,
                [random.randrange(engine.vocabulary.size) for _ in range(prompt)],
                answer,
                engine.sampler(Sampling()),
                Output(number),
                speculate=False,
            )
            for number in range(sequences)
        ]

    def steady(self, steps: int) -> tuple[float, float]:
        """Tokens per second of the prefill of all prompts, and of `steps` steps in which all sequences decode."""
        began = self._start()
        while any(job.made == 0 for job in self._jobs):
            self._batcher.step()
        answering = time.perf_counter()
        for _ in range(steps):
            self._batcher.step()
        ended = time.perf_counter()
        assert self._batcher.running == self._sequences, "an answer ended early: use another seed"
        for job in self._jobs:
            self._batcher.cancel(job.id)
        tokens = self._sequences * self._prompt
        return tokens / (answering - began), self._sequences * steps / (ended - answering)

    def whole(self) -> float:
        """Tokens per second of prompts and answers together, from the first step to the last."""
        began = self._start()
        while self._batcher.busy:
            self._batcher.step()
        # the prefill yields the first token of an answer
        return sum(len(job.tokens) - 1 for job in self._jobs) / (time.perf_counter() - began)

    def _start(self) -> float:
        for job in self._jobs:
            self._batcher.submit(job)
        return time.perf_counter()


def main() -> None:
    model, setup, random = Path(sys.argv[1]), Setup(**json.loads(sys.argv[2])), Random(1)
    settings = LoadSettings.model_validate(setup.engine())
    engine = Timed(path_text(model), settings)
    Case(engine, 16, 1, random, 1000).steady(4)
    figures: dict[str, float] = {}
    seconds = decoding = sampling = 0.0
    for prompt, sequences in PLAN.cases():
        engine.decoding = engine.sampling = 0.0
        began = time.perf_counter()
        prefill, decode = Case(engine, prompt, sequences, random, setup.cells).steady(PLAN.answer)
        seconds += time.perf_counter() - began
        decoding, sampling = decoding + engine.decoding, sampling + engine.sampling
        found = {"prefill": prefill, "decode": decode}
        if prompt == 128:
            found["whole"] = Case(engine, prompt, sequences, random, PLAN.answer + 1).whole()
        figures |= PLAN.named(prompt, sequences, found)
    figures["python, share of a step"] = 1 - (decoding + sampling) / seconds
    figures["sampling, share of a step"] = sampling / seconds
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
