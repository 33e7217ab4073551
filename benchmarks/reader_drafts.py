"""Measures what drafts save on a real, if tiny, reader that answers questions from passages, with and without drafts.

    python -m benchmarks.reader_drafts [--questions 60] [--always]

Prints how many tokens were drafted and accepted, the batches and seconds of decoding, and how many answers differ.
`--always` drafts wherever the text matches, at any cost: the harder test that the answers stay the same. Exit code 1 if
an answer differs.
"""

import argparse
import sys
from collections.abc import Sequence
from typing import Final

from benchmarks.interleavings import Eager
from models.child_process.messages import Chat, Finished, path_text
from models.types import LoadSettings, Sampling
from models.worker.engine import BatchSpan, Engine
from models.worker.prompting.prompt_builder import PromptBuilder
from models.worker.scheduling.batcher import Batcher, Job
from models.worker.scheduling.output import Output
from models.worker.scheduling.speculation import Costs
from tests.assets.reader import READER, said
from tests.assets.reader_questions import evaluation

LONGEST: Final = 60


class Counting(Engine):
    """An engine that counts its batches."""

    batches = 0

    def decode(self, spans: Sequence[BatchSpan]) -> None:
        self.batches += 1
        super().decode(spans)


def answer(
    engine: Counting, prompts: list[list[int]], costs: Costs, *, speculate: bool
) -> tuple[list[list[int]], int, int, int, float]:
    """Answers the prompts one after the other; returns the answers, tokens drafted and accepted, batches, seconds."""
    batcher = Batcher(engine, costs=costs)
    answers, drafted, accepted, seconds = [], 0, 0, 0.0
    engine.batches = 0
    for number, prompt in enumerate(prompts):
        job = Job(number, list(prompt), LONGEST, engine.sampler(Sampling()), Output(number), (), speculate)
        batcher.submit(job)
        while batcher.busy:
            for event in batcher.step():
                if isinstance(event, Finished):
                    drafted += event.drafted
                    accepted += event.accepted
                    seconds += event.decode_s
        answers.append(job.tokens[job.prompt_tokens :])
    return answers, drafted, accepted, engine.batches, seconds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--questions", type=int, default=60)
    parser.add_argument("--always", action="store_true")
    options = parser.parse_args()
    engine = Counting(path_text(READER), LoadSettings(context=1024, threads=1, flash_attention=False))
    builder = PromptBuilder(engine)
    examples = [one.right for one in evaluation()[: options.questions]]
    prompts = [list(builder.tokens(Chat(messages=tuple(said(example))))) for example in examples]
    plain = answer(engine, prompts, Costs(), speculate=False)
    drafts = answer(engine, prompts, Eager() if options.always else Costs(), speculate=True)
    differ = sum(one != other for one, other in zip(plain[0], drafts[0], strict=True))
    print(f"tokens {sum(map(len, plain[0]))}; drafted {drafts[1]}, accepted {drafts[2]}")
    print(f"batches {plain[3]} without drafts, {drafts[3]} with; seconds {plain[4]:.2f} and {drafts[4]:.2f}")
    print(f"answers that differ: {differ} of {len(prompts)}")
    sys.exit(1 if differ else 0)


if __name__ == "__main__":
    main()
