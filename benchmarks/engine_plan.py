"""Lists the cases that `benchmarks.engine` measures on every candidate, and names the figures."""

from dataclasses import dataclass
from typing import Any, Final


@dataclass(frozen=True, slots=True)
class Setup:
    """The settings that all candidates share."""

    cells: int
    batch: int
    threads: int
    kv_type: str
    cache_bytes: int = 256 << 20
    """Size of the cache of saved prompts. Only `engine_child` has one."""

    def engine(self) -> dict[str, Any]:
        """The `LoadSettings` of Docent's engine, without the cache."""
        return {
            "context": self.cells,
            "cells": self.cells,
            "batch": self.batch,
            "threads": self.threads,
            "kv_type": self.kv_type,
            "parallel": max(PLAN.sequences),
        }


@dataclass(frozen=True, slots=True)
class Plan:
    """Combines every number of sequences with every prompt length that fits the cells; answers have one length."""

    prompts: tuple[int, ...]
    answer: int
    sequences: tuple[int, ...]
    cells: int

    def cases(self) -> list[tuple[int, int]]:
        """Lists the (tokens of a prompt, sequences) that fit, as `llama-batched-bench` runs them."""
        return [
            (prompt, count)
            for prompt in self.prompts
            for count in self.sequences
            if count * (prompt + self.answer) <= self.cells
        ]

    def named(self, prompt: int, sequences: int, found: dict[str, float]) -> dict[str, float]:
        """Names the figures of a case that are worth comparing: prefill of one long prompt, decoding, both together."""
        names = {"decode": f"decode, {sequences} at a time, after {prompt}"}
        if sequences == 1 and prompt >= 512:
            names["prefill"] = f"prefill of {prompt}"
        if prompt == 128:
            names["whole"] = f"in and out, {sequences} at a time, {prompt}"
        return {names[kind]: value for kind, value in found.items() if kind in names}


PLAN: Final = Plan(prompts=(8, 128, 512), answer=32, sequences=(1, 4, 8), cells=1536)
"""The cells are too few for several long prompts at a time, which show nothing that one does not."""
