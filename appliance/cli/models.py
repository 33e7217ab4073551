"""`docent models`: what is installed, and what the service has loaded of it.

`import`, `remove` and `verify` work on the folder of models itself, with or without a service; a running one is told
to look again. The catalogue is loaded in these alone: reading GGUF files takes a heavy library.
"""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from appliance.cli.files import progress_bar, require_file, rescan
from appliance.cli.options import (
    InstallIdOption,
    JsonOption,
    command_group,
    complete_model,
    connect,
    examples,
    text_argument,
)
from appliance.cli.output import amount, print_json, print_model, print_table, print_text
from appliance.config import find_places
from appliance.errors import ServiceUnreachable
from appliance.terminal import clean_line
from appliance.wire import Model

if TYPE_CHECKING:
    from models.catalog import Catalog, ModelSpec, Problem

app = command_group()

_ModelId = Annotated[
    str,
    typer.Argument(metavar="MODEL", help="The model's id.", autocompletion=complete_model, callback=text_argument),
]


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
        for model in models:
            if model.reason:
                print_text(f"{clean_line(model.id)}: {clean_line(model.reason)}")
    else:
        print_text("No models. `docent models import FILE.gguf` installs one.")


def _row(model: Model) -> tuple[str, ...]:
    state = f"{model.state}, pinned" if model.pinned else model.state
    context = f"{model.context:,}" if model.context else ""
    return model.id, model.kind, state, model.architecture, model.quantisation or "", amount(model.size), context


@app.command(
    "import", epilog=examples("docent models import qwen2.5-7b-q4.gguf", "docent models import f.gguf --id qwen")
)
def import_model(
    file: Annotated[Path, typer.Argument(metavar="FILE.gguf", help="A language model in GGUF format.")],
    model_id: InstallIdOption = None,
    json: JsonOption = False,
) -> None:
    """Install a GGUF model: checked, hashed and copied into the folder of models."""
    require_file(file)
    with progress_bar(file.name, quiet=json) as progress:
        spec = _catalog().import_gguf(file, model_id=model_id, progress=progress)
    model = _told(rescan(), spec.id) or _view(spec)
    if json:
        print_model(model)
        return
    print_text(f"installed {model.id}: {model.architecture}, {model.quantisation or '?'}, {amount(model.size)}")
    if spec.template == "chatml":
        print_text("It brings no chat template; ChatML is used.")


@app.command(epilog=examples("docent models verify qwen2.5-7b"))
def verify(model: _ModelId, json: JsonOption = False) -> None:
    """Hash a model's file again and compare with what was imported."""
    from appliance.cli.embedding import embedding_model

    if found := embedding_model(model):
        manifest, folder = found
        manifest.verify(folder)
        digest = manifest.identity
    else:
        catalog = _catalog()
        with progress_bar(model, quiet=json) as progress:
            catalog.verify(model, progress)
        digest = catalog.get(model).sha256
    if json:
        print_json({"id": model, "ok": True, "sha256": digest})
    else:
        print_text(f"{model}: sound, sha256 {digest}")


@app.command(epilog=examples("docent models remove qwen2.5-7b"))
def remove(model: _ModelId, json: JsonOption = False) -> None:
    """Delete an installed model, a damaged one too; a loaded one is unloaded first."""
    from appliance.cli.embedding import embedding_model
    from models.errors import ModelInUse

    if embedding_model(model):
        why = "it is the embedding model, without which nothing is found"
        hint = "the setting `embedding.model` chooses another"
        raise ModelInUse(f"removing the model {model}", f"{why}; it is built in and cannot be removed", hint)
    catalog = _catalog()
    gone = _view(catalog.entry(model))
    _unload_if_loaded(model)
    catalog.remove(model)
    rescan()
    if json:
        print_model(gone)
    else:
        print_text(f"removed {gone.id}, {amount(gone.size)}")


def _catalog() -> "Catalog":
    from models.catalog import Catalog

    return Catalog(find_places().models)


def _unload_if_loaded(model_id: str) -> None:
    try:
        with connect() as client:
            if any(model.id == model_id and model.state == "loaded" for model in client.models()):
                client.model_action(model_id, "unload")
    except ServiceUnreachable:
        return


def _told(models: list[Model], model_id: str) -> Model | None:
    return next((model for model in models if model.id == model_id), None)


def _view(spec: "ModelSpec | Problem") -> Model:
    from appliance.model_desk import damaged_view
    from models.catalog import Problem

    if isinstance(spec, Problem):
        return damaged_view(spec)
    header = spec.header
    return Model(
        id=spec.id,
        kind="gguf",
        state="installed",
        architecture=header.architecture,
        size=spec.size,
        context=header.context_length,
        quantisation=header.quantisation,
        licence=header.licence or None,
        sha256=spec.sha256,
    )


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
