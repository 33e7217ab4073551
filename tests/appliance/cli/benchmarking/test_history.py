"""The file of earlier runs."""

import threading
from pathlib import Path

import pytest

from appliance.cli.benchmarking.history import History, history_path
from appliance.errors import DocentError
from tests.appliance.cli.benchmarking.builders import record


def test_what_was_kept_is_read_back_in_order(tmp_path: Path) -> None:
    history = History(tmp_path / "new" / "bench.jsonl")
    kept = [record(speed) for speed in (1.0, 2.0, 3.0)]
    for one in kept:
        history.append(one)
    assert history.records() == kept == history.of_model("noise")
    assert history.of_model("other") == []


def test_there_are_none_without_a_file(tmp_path: Path) -> None:
    assert History(tmp_path / "none").records() == []


def test_a_line_that_a_power_cut_left_half_written_costs_itself_alone(tmp_path: Path) -> None:
    path = tmp_path / "bench.jsonl"
    History(path).append(record(1.0))
    path.write_bytes(path.read_bytes() + b'{"model": "noi')
    History(path).append(record(2.0))
    assert [one.reading.tokens_per_second for one in History(path).records()] == [1.0, 2.0]


def test_runs_at_the_same_time_do_not_mix(tmp_path: Path) -> None:
    path = tmp_path / "bench.jsonl"
    threads = [threading.Thread(target=History(path).append, args=(record(float(at)),)) for at in range(1, 21)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {one.reading.tokens_per_second for one in History(path).records()} == {float(at) for at in range(1, 21)}


def test_an_unwritable_place_is_an_error_with_a_hint(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(DocentError, match="file/bench") as caught:
        History(tmp_path / "file" / "bench.jsonl").append(record())
    assert "XDG_STATE_HOME" in caught.value.hint


def test_it_lies_in_the_home_else_in_the_users_state_folder() -> None:
    assert history_path({"DOCENT_HOME": "/d"}) == Path("/d/bench.jsonl")
    assert history_path({"XDG_STATE_HOME": "/s", "HOME": "/h"}) == Path("/s/docent/bench.jsonl")
    assert history_path({"HOME": "/h"}) == Path("/h/.local/state/docent/bench.jsonl")
