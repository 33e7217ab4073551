"""`docent models`: what is installed, and what the service has loaded of it."""

from typing import Annotated

import typer

from appliance.cli.options import JsonOption, command_group, complete_model, connect, examples
from appliance.cli.output import amount, print_json, print_model, print_table, print_text
from appliance.terminal import clean_line
from appliance.wire import Model

app = command_group()

_ModelId = Annotated[str, typer.Argument(metavar="MODEL", help="The model's id.", autocompletion=complete_model)]


@app.callback()
def _models() -> None:
    """List, import, load and remove models."""


@app.command("list", epilog=examples("docent models list"))
def list_models(json: JsonOption = False) -> None:
    """List the installed models and which are loaded."""
    with connect() as client:
        models = client.models()
    if json:
        print_json({"models": [model.model_dump(mode="json") for model in models]})
    elif models:
        print_table(("model…", "kind", "state", "architecture", "quantisation", "size>", "context>"), map(_row, models))
    else:
        print_text("No models. `docent models import FILE.gguf` installs one.")


def _row(model: Model) -> tuple[str, ...]:
    state = f"{model.state}, pinned" if model.pinned else model.state
    context = f"{model.context:,}" if model.context else ""
    return model.id, model.kind, state, model.architecture, model.quantisation or "", amount(model.size), context


@app.command(epilog=examples("docent models load qwen2.5-7b"))
def load(model: _ModelId, json: JsonOption = False) -> None:
    """Load a model now instead of at its first question."""
    _act(model, "load", json)


@app.command(epilog=examples("docent models unload qwen2.5-7b"))
def unload(model: _ModelId, json: JsonOption = False) -> None:
    """Free the memory of a model that is not answering."""
    _act(model, "unload", json)


@app.command(epilog=examples("docent models pin qwen2.5-7b"))
def pin(model: _ModelId, json: JsonOption = False) -> None:
    """Keep a model loaded: it is never unloaded to make room."""
    _act(model, "pin", json)


@app.command(epilog=examples("docent models unpin qwen2.5-7b"))
def unpin(model: _ModelId, json: JsonOption = False) -> None:
    """Let a pinned model be unloaded again."""
    _act(model, "unpin", json)


def _act(model_id: str, action: str, json: bool) -> None:
    with connect() as client:
        model = client.model_action(model_id, action)
    if json:
        print_model(model)
    else:
        held = f", {amount(model.memory)} of memory" if model.memory else ""
        print_text(f"{clean_line(model.id)}: {model.state}{', pinned' if model.pinned else ''}{held}")
