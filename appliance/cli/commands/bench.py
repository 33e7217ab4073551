"""`docent bench`: measures how fast this machine answers, and reports if it has become slower.

Everything is measured through the socket, as any client sees it. `appliance.cli.benchmarking` measures; this file
starts it and prints the results.
"""

import asyncio
import os
import re
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Annotated

import typer

from appliance.cli.benchmarking.figures import Percentiles
from appliance.cli.benchmarking.history import History, history_path, machine
from appliance.cli.benchmarking.measure import Bench, Measured
from appliance.cli.benchmarking.prompts import PromptMaker
from appliance.cli.benchmarking.record import Answering, BenchSettings, Record
from appliance.cli.benchmarking.regression import MEMORY_FIGURE, Regression, regressions
from appliance.cli.shared.options import JsonOption, command_group, complete_model, examples, text_argument
from appliance.cli.shared.output import console, print_error, print_fields, print_json, print_table, print_text
from appliance.client import AsyncClient
from appliance.config.places import find_places
from appliance.display.humanize import amount
from appliance.display.safe_text import clean_line
from appliance.errors import DocentError, NotFound
from appliance.wire import Model

app = command_group()

_MOST_CLIENTS = 64

_ModelId = Annotated[
    str,
    typer.Argument(metavar="MODEL", help="The model's id.", autocompletion=complete_model, callback=text_argument),
]


@app.callback()
def _bench() -> None:
    """Measure how fast a model answers on this machine."""


def _client_counts(given: str) -> tuple[int, ...]:
    """Parses `1,4,8`: sorted, without duplicates.

    Raises:
        BadParameter: it is anything else.
    """
    parts = [part.strip() for part in given.split(",")]
    counts = [int(part) for part in parts if re.fullmatch("[1-9][0-9]?", part)]
    if len(counts) < len(parts) or max(counts) > _MOST_CLIENTS:
        why = f"give numbers from 1 to {_MOST_CLIENTS} separated by commas, such as 1,4,8"
        raise typer.BadParameter(why, param_hint="--clients")
    return tuple(sorted(set(counts)))


@app.command("model", epilog=examples("docent bench model qwen2.5-7b", "docent bench model qwen2.5-7b --clients 1,2"))
def bench_model(
    model: _ModelId,
    clients: Annotated[
        str, typer.Option(metavar="N,…", help="Numbers of simultaneous clients, measured one after another.")
    ] = "1,4,8",
    prompt_tokens: Annotated[
        int, typer.Option(metavar="N", min=16, help="Approximate prompt length, in tokens.")
    ] = 512,
    answer_tokens: Annotated[int, typer.Option(metavar="N", min=2, help="Longest answer, in tokens.")] = 64,
    rounds: Annotated[int, typer.Option(metavar="N", min=1, max=1000, help="Repetitions of each measurement.")] = 3,
    json: JsonOption = False,
) -> None:
    """Measure a model. The figures are reading and answering speed, waiting times, memory and CPU time.

    The run is recorded, and every figure that is clearly worse than in earlier comparable runs is reported.
    """
    counts = _client_counts(clients)
    settings = BenchSettings(prompt_tokens=prompt_tokens, answer_tokens=answer_tokens, clients=counts, rounds=rounds)
    with _status_line(quiet=json) as report:
        record = asyncio.run(_measure(model, settings, report))
    history = History(history_path())
    worse, runs = _compared(history, record)
    if json:
        print_json(
            {**record.model_dump(mode="json"), "runs_before": runs, "regressions": [w.model_dump() for w in worse]}
        )
        return
    _show(record)
    _show_regressions(worse, runs)


async def _measure(model_id: str, settings: BenchSettings, report: Callable[[str], None]) -> Record:
    async with AsyncClient(find_places().socket) as client:
        model = _chosen(model_id, await client.models())
        version = (await client.status()).version
        prompts = PromptMaker(os.urandom(8).hex())
        bench = Bench(client, model.id, settings, prompts, clock=time.perf_counter, report=report)
        return _record(model, version, settings, await bench.run())


def _chosen(model_id: str, installed: Sequence[Model]) -> Model:
    """Raises NotFound if no installed model that generates text has this id."""
    for model in installed:
        if model.id == model_id and model.kind == "gguf":
            return model
    kinds = {
        "embedding": "it makes embeddings, not text",
        "remote": "it is a provider, so its speed is that of another machine",
    }
    why = next((kinds[one.kind] for one in installed if one.id == model_id), "it is not installed")
    raise NotFound(f"measuring the model {model_id!r}", why, "`docent models list` shows the installed ones")


def _record(model: Model, version: str, settings: BenchSettings, measured: Measured) -> Record:
    return Record(
        model=model.id,
        sha256=model.sha256,
        version=version,
        machine=machine(),
        at=datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        settings=settings,
        reading=measured.reading,
        answering=measured.answering,
        memory=measured.memory,
    )


def _compared(history: History, record: Record) -> tuple[list[Regression], int]:
    """Records the run; returns what became worse and the number of earlier runs it was compared with.

    An unreadable history is reported and does not fail the command.
    """
    try:
        earlier = [one for one in history.records() if record.comparable(one)]
        history.append(record)
    except DocentError as error:
        print_error(error)
        return [], 0
    return regressions(record, earlier), len(earlier)


@app.command(epilog=examples("docent bench history qwen2.5-7b", "docent bench history qwen2.5-7b --json"))
def history(
    model: _ModelId,
    limit: Annotated[int, typer.Option(metavar="N", min=1, help="Show only the newest N runs.")] = 20,
    json: JsonOption = False,
) -> None:
    """Show the earlier runs of a model, oldest first. Works without the service."""
    found = History(history_path()).of_model(model)[-limit:]
    if json:
        print_json({"runs": [record.model_dump(mode="json") for record in found]})
    elif found:
        columns = (
            "measured at",
            "version",
            "prompt",
            "answer",
            "prompt tok/s>",
            "answer tok/s>",
            "first token>",
            "memory>",
        )
        print_table(columns, map(_history_row, found))
    else:
        print_text(f"No runs of {clean_line(model)} yet. `docent bench model {clean_line(model)}` measures one.")


def _history_row(record: Record) -> tuple[str, ...]:
    memory = record.memory.measured
    by_clients = " / ".join(f"{one.tokens_per_second:.1f}" for one in record.answering)
    return (
        record.at,
        record.version,
        str(record.settings.prompt_tokens),
        str(record.settings.answer_tokens),
        f"{record.reading.tokens_per_second:.1f}",
        by_clients,
        _seconds(record.reading.first_token.p50),
        amount(memory) if memory is not None else "",
    )


# -- showing ----------------------------------------------------------------------------------------------------------


def _show(record: Record) -> None:
    reading, memory = record.reading, record.memory
    print_fields(
        [
            ("model", f"{record.model}, {record.settings.prompt_tokens} tokens in, {record.settings.answer_tokens} out"),
            ("machine", record.machine),
            ("reading", f"{reading.tokens_per_second:.1f} tokens/s of prompts"),
            ("first token", f"{_seconds(reading.first_token.p50)} for a new prompt of {reading.prompt_tokens} tokens, "
                            f"{_seconds(reading.cached_first_token.p50)} if only its end is new"),
            ("memory", f"{_amount(memory.predicted)} reserved, {_amount(memory.measured)} measured"),
            ("CPU time", f"{_number(reading.cpu_seconds_per_1000)} s per 1,000 tokens of prompts"),
        ]
    )  # fmt: skip
    print_text()
    columns = ("clients>", "answers", "tokens/s>", "one answer>", "CPU s/1,000>", "first token p50/95/99>",
               "between tokens p50/95/99>", "whole answer p50/95/99>")  # fmt: skip
    print_table(columns, map(_row, record.answering))


def _row(one: Answering) -> tuple[str, ...]:
    return (
        str(one.clients),
        str(one.requests),
        f"{one.tokens_per_second:.1f}",
        _number(one.decode_tokens_per_second),
        _number(one.cpu_seconds_per_1000),
        _three(one.first_token),
        _three(one.between_tokens),
        _three(one.total),
    )


def _show_regressions(worse: Sequence[Regression], runs: int) -> None:
    print_text()
    if not runs:
        print_text("This is the first run of its kind; later ones are compared with it.")
    elif not worse:
        print_text(f"No figure is worse than the median of {runs} earlier run{'s' if runs > 1 else ''}.")
    for one in worse:
        name, now, before = one.figure, f"{one.now:.4g}", f"{one.before:.4g}"
        if name == MEMORY_FIGURE:
            name, now, before = "memory", amount(one.now), amount(one.before)
        print_text(
            f"Worse than before: {name}: {now}; the median of {one.runs} earlier "
            f"run{'s' if one.runs > 1 else ''} is {before} (tolerance {one.margin:.0%})"
        )


def _three(values: Percentiles | None) -> str:
    return " / ".join(_seconds(value) for value in (values.p50, values.p95, values.p99)) if values else ""


def _seconds(value: float) -> str:
    if value >= 1:
        return f"{value:.2f} s"
    return f"{value * 1000:.0f} ms" if value >= 0.01 else f"{value * 1000:.2g} ms"


def _number(value: float | None) -> str:
    return "?" if value is None else f"{value:.1f}"


def _amount(value: int | None) -> str:
    return "?" if value is None else amount(value)


@contextmanager
def _status_line(*, quiet: bool) -> Iterator[Callable[[str], None]]:
    """Yields a function that shows the current step on stderr, if that is a terminal."""
    screen = console(stderr=True)
    if quiet or not screen.is_terminal:
        yield lambda _text: None
        return
    with screen.status("") as line:
        yield lambda text: line.update(text)
