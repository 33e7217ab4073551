"""What `benchmarks.engine` measures on every candidate, and how each figure is called."""

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
    """Where kept prompts may go, behind the process's socket alone."""

    def engine(self) -> dict[str, Any]:
        """What Docent's own engine is loaded with: its `LoadSettings`, but for the cache."""
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
    """Every count of sequences with every length of prompts that the cells hold, and answers of one length."""

    prompts: tuple[int, ...]
    answer: int
    sequences: tuple[int, ...]
    cells: int

    def cases(self) -> list[tuple[int, int]]:
        """(tokens of a prompt, sequences), as `llama-batched-bench` runs them: those that fit."""
        return [
            (prompt, count)
            for prompt in self.prompts
            for count in self.sequences
            if count * (prompt + self.answer) <= self.cells
        ]

    def named(self, prompt: int, sequences: int, found: dict[str, float]) -> dict[str, float]:
        """The figures worth comparing of a case: prefill of one long prompt, decoding, and all of it together."""
        names = {"decode": f"decode, {sequences} at a time, after {prompt}"}
        if sequences == 1 and prompt >= 512:
            names["prefill"] = f"prefill of {prompt}"
        if prompt == 128:
            names["whole"] = f"in and out, {sequences} at a time, {prompt}"
        return {names[kind]: value for kind, value in found.items() if kind in names}


PLAN: Final = Plan(prompts=(8, 128, 512), answer=32, sequences=(1, 4, 8), cells=1536)
"""The cells leave out several long prompts at a time: those tell nothing that one does not."""
