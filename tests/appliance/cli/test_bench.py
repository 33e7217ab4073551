"""`docent bench` against a real service with a tiny model."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from appliance.cli.benchmarking.history import History
from appliance.cli.benchmarking.record import Record
from models.catalog.catalog import Catalog
from tests.appliance.cli.conftest import Run
from tests.gguf_builder import Shape, write_model
from tests.live import Live, live_service, short_home, wait_until

SMALL = ("--clients", "1,3", "--prompt-tokens", "60", "--answer-tokens", "6", "--rounds", "1")
PERCENTILES = {"p50", "p95", "p99"}


@pytest.fixture(scope="module")
def service() -> Iterator[Live]:
    """A service with a tiny model named noise."""
    with short_home() as home, live_service(Path(home)) as live:
        Catalog(live.places.models).import_gguf(write_model(Path(home) / "noise.gguf", shape=Shape(context=4096)))
        live.client.rescan_models()
        yield live


@pytest.fixture
def bench(run: Run, home: Path, service: Live, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Commands for that service, with a history of the test's own."""
    monkeypatch.setenv("DOCENT_SOCKET", str(service.places.socket))
    return run


def history(home: Path) -> History:
    return History(home / "bench.jsonl")


def test_a_run_tells_speeds_waiting_times_memory_and_cpu_time(bench: Run) -> None:
    found: dict[str, Any] = bench("bench", "model", "noise", *SMALL, "--json").json
    assert found["settings"] == {"prompt_tokens": 60, "answer_tokens": 6, "clients": [1, 3], "rounds": 1}
    reading = found["reading"]
    assert 20 <= reading["prompt_tokens"] <= 180, "words of this vocabulary have one token or many"
    assert reading["tokens_per_second"] > 0
    assert set(reading["first_token"]) == set(reading["cached_first_token"]) == PERCENTILES
    assert [(one["clients"], one["requests"]) for one in found["answering"]] == [(1, 1), (3, 3)]
    for one in found["answering"]:
        assert one["tokens_per_second"] > 0
        assert set(one["first_token"]) == set(one["total"]) == PERCENTILES
        assert one["cpu_seconds_per_1000"] >= 0
    assert found["memory"]["predicted"] > 0
    assert found["memory"]["measured"] > 1 << 20
    assert (found["runs_before"], found["regressions"]) == (0, [])


def test_runs_are_recorded_and_a_much_worse_one_is_reported(bench: Run, home: Path) -> None:
    first: dict[str, Any] = bench("bench", "model", "noise", *SMALL, "--json").json
    kept = Record.model_validate(first)
    assert history(home).records() == [kept]
    faster = kept.reading.model_copy(update={"tokens_per_second": 1e9})
    for _ in range(3):
        history(home).append(kept.model_copy(update={"reading": faster}))
    told = bench("bench", "model", "noise", *SMALL)
    assert told.code == 0
    assert "Worse than before: prompt tokens/s" in told.out
    assert len(bench("bench", "history", "noise", "--json").json["runs"]) == 5
    assert "prompt tok/s" in bench("bench", "history", "noise").out
    assert "No runs of other" in bench("bench", "history", "other").out


def test_a_history_that_cannot_be_kept_costs_no_result(bench: Run, home: Path) -> None:
    (home / "bench.jsonl").mkdir()
    result = bench("bench", "model", "noise", *SMALL)
    assert result.code == 0
    assert "tokens/s" in result.out
    assert "bench.jsonl" in result.err


def test_what_cannot_be_measured_is_refused_with_its_own_exit_code(bench: Run) -> None:
    assert bench("bench", "model", "absent").code == 4
    embedding = bench("bench", "model", "all-MiniLM-L6-v2")
    assert (embedding.code, "makes embeddings" in embedding.err) == (4, True)
    for wrong in ("0", "1,,4", "x", "65", "-1", "²", "9" * 5000):
        assert bench("bench", "model", "noise", "--clients", wrong).code == 2
    too_long = bench("bench", "model", "noise", "--prompt-tokens", "9000")
    assert (too_long.code, "room for" in too_long.err) == (5, True)


def test_without_a_service_a_run_ends_with_3_and_the_history_is_shown(run: Run) -> None:
    assert run("bench", "model", "noise").code == 3
    assert run("bench", "history", "noise").code == 0


def test_ctrl_c_ends_a_benchmark_at_once_and_leaves_nothing_running_in_the_service(service: Live, home: Path) -> None:
    command = [
        sys.executable,
        "-m",
        "appliance",
        "bench",
        "model",
        "noise",
        "--rounds",
        "1000",
        "--prompt-tokens",
        "60",
    ]
    environment = {**os.environ, "DOCENT_HOME": str(home), "DOCENT_SOCKET": str(service.places.socket)}
    manager = service.context.models.manager

    def leases() -> int:
        return sum(state.leases for state in manager.states())

    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as one:
        wait_until(lambda: leases() or one.poll() is not None, "the benchmark to begin")
        one.send_signal(signal.SIGINT)
        out, err = one.communicate(timeout=30)
    assert (one.returncode, out, err) == (130, "", "")
    wait_until(lambda: leases() == 0, "the service to be idle", 10)
    assert not (home / "bench.jsonl").exists()
