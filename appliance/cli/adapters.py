"""`docent adapters`: LoRA adapters, installed like models; works on their folder, with or without a service."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from appliance.cli.files import progress_bar, require_file, rescan
from appliance.cli.options import InstallIdOption, JsonOption, command_group, examples, text_argument
from appliance.cli.output import amount, print_json, print_table, print_text
from appliance.config import find_places

if TYPE_CHECKING:
    from models.adapters import AdapterCatalog, AdapterSpec

app = command_group()


@app.callback()
def _adapters() -> None:
    """List, import and remove LoRA adapters."""


@app.command("list", epilog=examples("docent adapters list"))
def list_adapters(json: JsonOption = False) -> None:
    """List the installed adapters."""
    found = _catalog().list()
    if json:
        print_json({"adapters": [_view(spec) for spec in found]})
    elif found:
        rows = [(spec.id, spec.architecture, str(spec.rank), f"{spec.alpha:g}", amount(spec.size)) for spec in found]
        print_table(("adapter…", "architecture", "rank>", "alpha>", "size>"), rows)
    else:
        print_text("No adapters. `docent adapters import FILE.gguf` installs one.")


@app.command("import", epilog=examples("docent adapters import legal.gguf", "docent adapters import f.gguf --id legal"))
def import_adapter(
    file: Annotated[Path, typer.Argument(metavar="FILE.gguf", help="A LoRA adapter in GGUF format.")],
    adapter_id: InstallIdOption = None,
    json: JsonOption = False,
) -> None:
    """Install a LoRA adapter: checked, hashed and copied into the folder of adapters."""
    require_file(file)
    with progress_bar(file.name, quiet=json) as progress:
        spec = _catalog().import_gguf(file, adapter_id=adapter_id, progress=progress)
    rescan()
    if json:
        print_json(_view(spec))
    else:
        print_text(f"installed {spec.id}: for {spec.architecture}, rank {spec.rank}, {amount(spec.size)}")


@app.command(epilog=examples("docent adapters remove legal"))
def remove(
    adapter: Annotated[str, typer.Argument(metavar="ADAPTER", help="The adapter's id.", callback=text_argument)],
    json: JsonOption = False,
) -> None:
    """Delete an installed adapter."""
    catalog = _catalog()
    spec = catalog.get(adapter)
    catalog.remove(adapter)
    rescan()
    if json:
        print_json(_view(spec))
    else:
        print_text(f"removed {spec.id}")


def _catalog() -> "AdapterCatalog":
    from models.adapters import AdapterCatalog

    return AdapterCatalog(find_places().adapters)


def _view(spec: "AdapterSpec") -> dict[str, Any]:
    return {
        "id": spec.id,
        "architecture": spec.architecture,
        "rank": spec.rank,
        "alpha": spec.alpha,
        "size": spec.size,
        "sha256": spec.sha256,
    }
