"""Under memory pressure caches and idle models are evicted early, one at a time, with hysteresis."""

from pathlib import Path

from models.hardware.psi import PressureProbe, PressureReading
from tests.models.managed import Clock, kinds, managed, states


def psi(some: float) -> str:
    return f"some avg10={some:.2f} avg60=1.00 avg300=0.00 total=77\nfull avg10=0.00 avg60=0.00 avg300=0.00 total=7\n"


def test_pressure_is_read_from_our_cgroup_first_and_may_be_absent(tmp_path: Path) -> None:
    own, file, machine = tmp_path / "fs/a/b", tmp_path / "self", tmp_path / "machine"
    own.mkdir(parents=True)
    file.write_text("12:memory:/x\n0::/a/b\n")
    assert PressureProbe(tmp_path / "fs", file, machine)() is None
    machine.write_text(psi(7))
    assert PressureProbe(tmp_path / "fs", file, machine)() == PressureReading(7.0)
    (own / "memory.pressure").write_text(psi(31.5))
    (own / "memory.events").write_text("low 0\nhigh 4\nmax 9\noom 0\n")
    assert PressureProbe(tmp_path / "fs", file, machine)() == PressureReading(31.5, throttled=4)
    (own / "memory.pressure").write_text("nonsense")
    assert PressureProbe(tmp_path / "fs", file, machine)() == PressureReading(7.0, throttled=4)
    machine.unlink()
    assert PressureProbe(tmp_path / "fs", file, machine).source is None


async def test_idle_models_are_evicted_one_by_one_until_memory_is_no_longer_short(home: Path) -> None:
    clock, now = Clock(), [PressureReading(0.0)]
    async with managed(home, pressure=lambda: now[0], clock=clock) as manager:
        async with manager.lease("c"):
            await manager.load("a")
            clock.now += 5
            await manager.load("b")
            now[0] = PressureReading(40.0)
            await manager.relieve_pressure()
            assert states(manager) | {"a": "installed", "b": "loaded", "c": "loaded"} == states(manager)
            await manager.relieve_pressure()
            assert states(manager)["b"] == "loaded", "the first step gets time to show its effect"
            now[0], clock.now = PressureReading(10.0), clock.now + 11
            await manager.relieve_pressure()
            assert states(manager)["b"] == "installed", "it is still short until it is calm"
            clock.now += 11
            await manager.relieve_pressure()
            assert states(manager)["c"] == "loaded", "one in use never leaves"
        now[0] = PressureReading(1.0)
        await manager.relieve_pressure()
        clock.now += 11
        now[0] = PressureReading(10.0)
        await manager.relieve_pressure()
        assert states(manager)["c"] == "loaded"
        assert kinds(manager).count("pressure") == 2
        assert manager.report().last_eviction is not None


async def test_throttling_counts_as_short_memory_and_a_missing_reading_does_not(home: Path) -> None:
    now: list[PressureReading | None] = [None]
    async with managed(home, pressure=lambda: now[0]) as manager:
        await manager.load("a")
        for reading in (None, PressureReading(0.0, throttled=3), PressureReading(0.0, throttled=3)):
            now[0] = reading
            await manager.relieve_pressure()
            assert states(manager)["a"] == "loaded"
        now[0] = PressureReading(0.0, throttled=4)
        await manager.relieve_pressure()
        assert states(manager)["a"] == "installed"
