"""Measures the engine behind its process's socket, for `benchmarks.engine`; prints one JSON object.

Prompts are text, since the socket carries no tokens. Their words are one token each in most vocabularies. Decoding of
several sequences is measured only where all prompts fit into one prefill step: otherwise sequences that already decode
would wait for the other prompts.
"""

import asyncio
import json
import sys
from pathlib import Path

from appliance.cli.benchmarking.prompts import PromptMaker
from benchmarks.engine_plan import PLAN, Setup
from models.child_process.child import Child
from models.child_process.messages import Count, Finished, Generate, Raw
from models.child_process.spawner import Spawner
from models.types import GenerationRequest, LoadSettings


class Bench:
    """Sends requests to a started child."""

    def __init__(self, child: Child) -> None:
        self._child = child
        self._prompts = PromptMaker("engine")
        self._number = 0

    async def calibrate(self) -> None:
        """Measures how many tokens a word has."""
        (end,) = await self.together(64, 1, 2)
        self._prompts = self._prompts.calibrated(64, end.usage.prompt_tokens)

    async def together(self, prompt: int, sequences: int, answer: int) -> list[Finished]:
        """Runs requests that all arrive before the first begins: a long token count keeps the child busy meanwhile."""
        busy = self._child.send(lambda number: Count(id=number, prompt=Raw(text="so " * 50_000)))
        texts = []
        for _ in range(sequences):
            self._number += 1
            texts.append(self._prompts.make(self._number, prompt))
        ends = await asyncio.gather(*(self._one(text, answer) for text in texts))
        busy.close()
        return list(ends)

    async def _one(self, text: str, answer: int) -> Finished:
        request = GenerationRequest(prompt=text, max_tokens=answer, speculate=False)
        channel = self._child.send(lambda number: Generate(id=number, request=request))
        while True:
            event = await channel.next()
            if isinstance(event, Finished):
                assert event.usage.completion_tokens == answer, "an answer ended early"
                return event


async def measure(bench: Bench, batch: int) -> dict[str, float]:
    """Measures the figures of the plan that can be seen from outside the process."""
    figures: dict[str, float] = {}
    for prompt, sequences in PLAN.cases():
        ends = await bench.together(prompt, sequences, PLAN.answer + 1)
        read = sum(end.usage.prompt_tokens for end in ends)
        found = {"whole": (read + sequences * PLAN.answer) / max(end.prefill_s + end.decode_s for end in ends)}
        if sequences == 1:
            found["prefill"] = read / ends[0].prefill_s
        if sequences == 1 or read <= batch:
            found["decode"] = sequences * PLAN.answer / max(end.decode_s for end in ends)
        figures |= PLAN.named(prompt, sequences, found)
    return figures


async def main() -> None:
    model, setup = Path(sys.argv[1]), Setup(**json.loads(sys.argv[2]))
    settings = LoadSettings.model_validate({**setup.engine(), "cache_bytes": setup.cache_bytes})
    with Spawner() as spawner:
        child = await Child.start("bench", model, settings, spawner, deadline_s=300)
        bench = Bench(child)
        await bench.calibrate()
        figures = await measure(bench, setup.batch)
        await child.stop()
    print(json.dumps(figures))


if __name__ == "__main__":
    asyncio.run(main())
