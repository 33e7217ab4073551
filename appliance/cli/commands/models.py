"""`docent models`: lists, installs, loads and removes models.

`pull`, `import`, `versions`, `use`, `remove` and `verify` work on the folder of models itself, with or without a
service; a running one is asked to rescan the folder. Only these import the catalogue, since reading GGUF files needs a
heavy library. `model_files` holds pull, import and versions.
"""

from appliance.cli.model_files import import_command, pull_command, version_commands
from appliance.cli.model_files.installing import progress_bar, rescan
from appliance.cli.model_files.model_folder import ModelId, VersionOption, catalog, view
from appliance.cli.shared.options import JsonOption, command_group, connect, examples
from appliance.cli.shared.output import print_json, print_model, print_table, print_text
from appliance.display.humanize import amount
from appliance.display.safe_text import clean_line
from appliance.errors import ServiceUnreachable
from appliance.wire import Model

app = command_group()


@app.callback()
def _models() -> None:
    """List, fetch, import, load and remove models."""


@app.command("list", epilog=examples("docent models list"))
def list_models(json: JsonOption = False) -> None:
    """List the installed models and which are loaded."""
    with connect() as client:
        models = client.models()
    if json:
        print_json({"models": [model.model_dump(mode="json") for model in models]})
    elif models:
        print_table(
            ("model…", "kind", "state", "architecture", "quantisation", "size>", "context>", "version"),
            map(_row, models),
        )
        for model in models:
            if model.reason:
                print_text(f"{clean_line(model.id)}: {clean_line(model.reason)}")
    else:
        print_text(
            "No models. `docent models suggest` names some that fit this machine; `docent models import FILE.gguf` installs one."
        )


def _row(model: Model) -> tuple[str, ...]:
    state = f"{model.state}, pinned" if model.pinned else model.state
    context = f"{model.context:,}" if model.context else ""
    others = f" (+{len(model.versions) - 1})" if len(model.versions) > 1 else ""
    quantisation, size, version = model.quantisation or "", amount(model.size), f"{model.version or ''}{others}"
    return model.id, model.kind, state, model.architecture, quantisation, size, context, version


app.command("pull", epilog=pull_command.PULL_EXAMPLES)(pull_command.pull)
app.command("suggest", epilog=pull_command.SUGGEST_EXAMPLES)(pull_command.suggest)
app.command("import", epilog=import_command.EXAMPLES)(import_command.import_model)
app.command("versions", epilog=version_commands.LIST_EXAMPLES)(version_commands.list_versions)
app.command("use", epilog=version_commands.USE_EXAMPLES)(version_commands.use)


@app.command(epilog=examples("docent models verify qwen2.5-7b"))
def verify(model: ModelId, json: JsonOption = False) -> None:
    """Check a model's file: hash it again. The hash must be that of the file which was installed."""
    from appliance.cli.model_files.embedding_model import embedding_model

    if found := embedding_model(model):
        manifest, folder = found
        manifest.verify(folder)
        digest = manifest.identity
    else:
        installed = catalog()
        with progress_bar(model, quiet=json) as progress:
            installed.verify(model, progress)
        digest = installed.get(model).sha256
    if json:
        print_json({"id": model, "ok": True, "sha256": digest})
    else:
        print_text(f"{model}: unchanged, sha256 {digest}")


@app.command(
    epilog=examples("docent models remove qwen2.5-7b", "docent models remove qwen2.5-7b --version 3f9a1c20b7de")
)
def remove(model: ModelId, version: VersionOption = None, json: JsonOption = False) -> None:
    """Delete an installed model, or one version of it. A loaded one is unloaded first; a damaged one goes too."""
    from appliance.cli.model_files.embedding_model import embedding_model
    from models.errors import ModelInUse

    if embedding_model(model):
        why = "it is the embedding model, and search needs one"
        raise ModelInUse(f"removing the model {model}", why, "to use another one, set `embedding.model`")
    if version is not None:
        version_commands.remove(model, version, json=json)
        return
    installed = catalog()
    gone = view(installed.entry(model, "removing"))
    _unload_if_loaded(model)
    installed.remove(model)
    rescan()
    if json:
        print_model(gone)
    else:
        print_text(f"removed {gone.id}, {amount(gone.size)}")


def _unload_if_loaded(model_id: str) -> None:
    try:
        with connect() as client:
            if any(model.id == model_id and model.state == "loaded" for model in client.models()):
                client.model_action(model_id, "unload")
    except ServiceUnreachable:
        return


@app.command(epilog=examples("docent models load qwen2.5-7b"))
def load(model: ModelId, json: JsonOption = False) -> None:
    """Load a model now, before the first question needs it."""
    _act(model, "load", json)


@app.command(epilog=examples("docent models unload qwen2.5-7b"))
def unload(model: ModelId, json: JsonOption = False) -> None:
    """Unload a model that is not in use, and free its memory."""
    _act(model, "unload", json)


@app.command(epilog=examples("docent models pin qwen2.5-7b"))
def pin(model: ModelId, json: JsonOption = False) -> None:
    """Keep a model loaded. It is not unloaded when idle or to make room."""
    _act(model, "pin", json)


@app.command(epilog=examples("docent models unpin qwen2.5-7b"))
def unpin(model: ModelId, json: JsonOption = False) -> None:
    """Allow a pinned model to be unloaded again."""
    _act(model, "unpin", json)


def _act(model_id: str, action: str, json: bool) -> None:
    with connect() as client:
        model = client.model_action(model_id, action)
    if json:
        print_model(model)
    else:
        held = f", {amount(model.memory)} of memory" if model.memory else ""
        print_text(f"{clean_line(model.id)}: {model.state}{', pinned' if model.pinned else ''}{held}")
