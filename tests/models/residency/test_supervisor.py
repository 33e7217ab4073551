"""The checks of loaded models go on, whatever one of them does."""

import os
import signal
from dataclasses import replace
from pathlib import Path

import pytest

from models.residency import eviction
from tests.models.managed import FAST, Clock, kinds, managed, until


async def test_a_stalled_child_is_ended_while_another_check_waits_for_an_answer(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = Clock()
    watchful = replace(FAST, watch_s=0.05, measure_s=0.1, cache_bytes=1 << 20)
    async with managed(home, watchful, clock=clock) as manager:
        await manager.load("a")
        (resident,) = manager._residency.residents
        assert resident.child is not None
        await manager._evictor.evict([resident.part_key("cache")], "for a test")
        monkeypatch.setattr(eviction, "_TRIM_S", 60.0)
        os.kill(resident.child.pid, signal.SIGSTOP)
        clock.now += 1
        await until(lambda: resident.child is not None and resident.child.open_requests > 0)
        clock.now += FAST.stall_s + 1
        await until(lambda: "died" in kinds(manager, "a"))
