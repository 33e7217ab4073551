"""Measures what the prefix cache and drafts save on a model: time to the first token, and tokens per second.

    python -m benchmarks.caching MODEL.gguf [--threads 2] [--rounds 3] [--only first|drafts|crowds]
                                            [--no-flash-attention]

Compares each with itself switched off. The model may have random weights: a scripted sampler chooses the tokens, either
a passage of the prompt word for word (every draft is right) or random ones (none is). Prints medians of interleaved
rounds; there is no pass or fail.
"""

import argparse
import statistics
from collections.abc import Sequence
from pathlib import Path
from random import Random
from typing import Final, cast

from models.child_process.messages import Finished, path_text
from models.types import LoadSettings
from models.worker.engine import Engine, Sampler
from models.worker.engine.sampler import Choice
from models.worker.scheduling.batcher import Batcher, Job
from models.worker.scheduling.output import Output

PREFIXES: Final = (512, 2048)
QUESTION: Final = 16
QUOTED: Final = 200


class Trace:
    """A sampler that returns the given tokens in order."""

    def __init__(self, tokens: Sequence[int]) -> None:
        self._coming = iter(tokens)

    def next(self) -> int:
        return next(self._coming)

    def close(self) -> None:
        """Nothing to release."""


class Scripted(Engine):
    """An engine whose samplers are traces; it still reads the logits, so sampling costs what it does for real."""

    def sample(self, sampler: Sampler, index: int) -> Choice:
        self.logits(index).argmax()
        return Choice(cast(Trace, sampler).next())


def run(batcher: Batcher, prompt: Sequence[int], trace: Sequence[int], *, speculate: bool = True) -> Finished:
    """Generates one answer with nothing else in the batch."""
    batcher.submit(Job(0, list(prompt), len(trace), cast(Sampler, Trace(trace)), Output(0), (), speculate))
    end: Finished | None = None
    while batcher.busy:
        for event in batcher.step():
            end = event if isinstance(event, Finished) else end
    assert end is not None
    return end


def first_token(engine: Engine, random: Random, size: int) -> tuple[float, float, int]:
    """Seconds to the first token after a prefix of `size` tokens and a question: uncached, cached; cached tokens."""
    batcher = Batcher(engine)
    ids = range(100, engine.vocabulary.size // 2)
    prefix = random.choices(ids, k=size)
    cold = run(batcher, [*prefix, *random.choices(ids, k=QUESTION)], [ids[0]])
    warm = run(batcher, [*prefix, *random.choices(ids, k=QUESTION)], [ids[0]])
    return cold.prefill_s, warm.prefill_s, warm.usage.cached_tokens


def rates(engine: Engine, random: Random, batcher: Batcher, *, quoting: bool) -> tuple[float, float, int, int]:
    """Tokens per second without drafts and with them; numbers of drafted and accepted tokens."""
    ids = range(100, engine.vocabulary.size // 2)
    prompt = random.choices(ids, k=600)
    trace = prompt[200 : 200 + QUOTED] if quoting else random.choices(ids, k=QUOTED)
    plain = run(batcher, prompt, trace, speculate=False)
    drafted = run(batcher, prompt, trace)
    return QUOTED / plain.decode_s, QUOTED / drafted.decode_s, drafted.drafted, drafted.accepted


def crowded(engine: Engine, random: Random, others: int) -> float:
    """Seconds per token while `others` cells hold cached prefixes."""
    batcher = Batcher(engine)
    ids = range(100, engine.vocabulary.size // 2)
    if others:
        run(batcher, random.choices(ids, k=others), [ids[0]])
    return run(batcher, random.choices(ids, k=32), random.choices(ids, k=48), speculate=False).decode_s / 48


def show_first_tokens(engine: Engine, random: Random, rounds: int) -> None:
    for size in PREFIXES:
        rows = [first_token(engine, random, size) for _ in range(rounds)]
        cold, warm = (statistics.median(row[at] for row in rows) for at in (0, 1))
        print(
            f"prefix {size}: {cold:.3f} s uncached, {warm:.3f} s with {rows[0][2]} cached: {warm / cold:.3f}",
            flush=True,
        )


def show_drafts(engine: Engine, random: Random, rounds: int) -> None:
    batcher = Batcher(engine)
    for quoting in (True, False):
        found = [rates(engine, random, batcher, quoting=quoting) for _ in range(rounds)]
        plain, drafted = (statistics.median(row[at] for row in found) for at in (0, 1))
        gain = statistics.median(row[1] / row[0] for row in found)
        kind = "quoting" if quoting else "not quoting"
        print(f"{kind}: {plain:.1f} tok/s, with drafts {drafted:.1f}, {gain:.2f} times", end="; ")
        print(f"drafted {found[-1][2]}, accepted {found[-1][3]}", flush=True)


def show_crowds(engine: Engine, random: Random, rounds: int) -> None:
    crowds = (0, 1024, 3500)
    rows = [[crowded(engine, random, others) for others in crowds] for _ in range(rounds)]
    for others, seconds in zip(crowds, zip(*rows, strict=True), strict=True):
        print(f"{others} cells hold other prefixes: {statistics.median(seconds) * 1000:.1f} ms per token", flush=True)


SHOWN: Final = {"first": show_first_tokens, "drafts": show_drafts, "crowds": show_crowds}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", choices=SHOWN)
    parser.add_argument("--no-flash-attention", action="store_true")
    options = parser.parse_args()
    flash = not options.no_flash_attention
    settings = LoadSettings(context=4096, threads=options.threads, flash_attention=flash, cache_bytes=1 << 30)
    engine, random = Scripted(path_text(options.model), settings), Random(7)
    for name, show in SHOWN.items():
        if options.only in (None, name):
            show(engine, random, options.rounds)


if __name__ == "__main__":
    main()
