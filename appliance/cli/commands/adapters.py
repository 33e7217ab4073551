"""`docent adapters`: installs LoRA adapters like models. Works on their folder, with or without a service."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from appliance.cli.model_files.installing import progress_bar, require_file, rescan
from appliance.cli.shared.options import InstallIdOption, JsonOption, command_group, examples, text_argument
from appliance.cli.shared.output import print_json, print_table, print_text
from appliance.config.places import find_places
from appliance.display.humanize import amount
from appliance.display.safe_text import clean_line

if TYPE_CHECKING:
    from models.adapters.catalog import AdapterCatalog, AdapterNotes, AdapterSpec
    from models.catalog.catalog import Catalog

app = command_group()


@app.callback()
def _adapters() -> None:
    """List, import and remove LoRA adapters."""


@app.command("list", epilog=examples("docent adapters list"))
def list_adapters(json: JsonOption = False) -> None:
    """List the installed adapters."""
    catalog = _catalog()
    found, damaged = catalog.list(), catalog.damaged()
    if json:
        print_json({"adapters": [_view(spec) for spec in found]})
    elif found:
        headings = ("adapter…", "version", "versions>", "for", "architecture", "rank>", "alpha>", "licence", "size>")
        print_table(headings, [_row(spec) for spec in found], notes=[_note(spec) for spec in found])
    elif not damaged:
        print_text("No adapters. `docent adapters import FILE` installs one.")
    for one in () if json else damaged:
        print_text(f"{clean_line(one.id)}: cannot be used: {clean_line(one.why)}")


@app.command(
    "import",
    epilog=examples(
        "docent adapters import legal.gguf",
        "docent adapters import checkpoint-900/ --id legal --base qwen2.5-7b",
        "docent adapters import legal-v2.gguf --id legal --replace",
    ),
)
def import_adapter(
    file: Annotated[
        Path, typer.Argument(metavar="FILE", help="A LoRA adapter: a GGUF file, or a folder as PEFT saves it.")
    ],
    adapter_id: InstallIdOption = None,
    base: Annotated[
        str | None,
        typer.Option(
            metavar="MODEL", help="The model it was trained for; default: the only one it fits.", callback=text_argument
        ),
    ] = None,
    replace: Annotated[
        bool, typer.Option("--replace", help="If the name is taken, add this as its new version.")
    ] = False,
    licence: Annotated[
        str, typer.Option(metavar="TEXT", help="Its licence; default: what the file says.", callback=text_argument)
    ] = "",
    notes: Annotated[
        str, typer.Option(metavar="TEXT", help="Notes that `adapters list` shows.", callback=text_argument)
    ] = "",
    json: JsonOption = False,
) -> None:
    """Install a LoRA adapter. It is checked against its model, converted if necessary, hashed and copied."""
    if not file.is_dir():
        require_file(file)
    catalog, models = _catalog(), _models_catalog()
    with progress_bar(file.name, quiet=json) as progress:
        spec = catalog.import_adapter(
            file,
            bases=models.list(),
            base=models.get(base) if base is not None else None,
            adapter_id=adapter_id,
            replace=replace,
            notes=_notes(licence, notes),
            progress=progress,
        )
    rescan()
    if json:
        print_json(_view(spec))
        return
    base_name = spec.base.id or f"a {spec.architecture} model"
    print_text(f"installed {spec.id}, version {spec.version}: for {base_name}, rank {spec.rank}, {amount(spec.size)}")
    if not spec.base.id:
        print_text("No installed model fits it yet.")


@app.command(epilog=examples("docent adapters remove legal", "docent adapters remove legal --version 3f2a9c"))
def remove(
    adapter: Annotated[str, typer.Argument(metavar="ADAPTER", help="The adapter's id.", callback=text_argument)],
    version: Annotated[
        str | None,
        typer.Option(
            metavar="VERSION", help="Only this older version; its first characters are enough.", callback=text_argument
        ),
    ] = None,
    json: JsonOption = False,
) -> None:
    """Delete an adapter, or one older version. Without --version all its versions go. Works for a damaged one too."""
    catalog = _catalog()
    if version is not None:
        view = _view(catalog.remove_version(adapter, version))
    else:
        found = next((spec for spec in catalog.list() if spec.id == adapter), None)
        catalog.remove(adapter)
        view = _view(found) if found else {"id": adapter}
    rescan()
    if json:
        print_json(view)
    else:
        print_text(f"removed {adapter}" + (f", version {view['version']}" if version is not None else ""))


def _catalog() -> "AdapterCatalog":
    from models.adapters.catalog import AdapterCatalog

    return AdapterCatalog(find_places().adapters)


def _models_catalog() -> "Catalog":
    from models.catalog.catalog import Catalog

    return Catalog(find_places().models)


def _notes(licence: str, notes: str) -> "AdapterNotes":
    from models.adapters.catalog import AdapterNotes

    return AdapterNotes(clean_line(licence), clean_line(notes))


def _row(spec: "AdapterSpec") -> tuple[str, ...]:
    sizes = str(spec.rank), f"{spec.alpha:g}", clean_line(spec.licence), amount(spec.size)
    described = spec.version, str(len(spec.versions)), clean_line(spec.base.id), clean_line(spec.architecture)
    return spec.id, *described, *sizes


def _note(spec: "AdapterSpec") -> str:
    return f"sha256 {spec.sha256}" + (f"; {clean_line(spec.notes)}" if spec.notes else "")


def _view(spec: "AdapterSpec") -> dict[str, Any]:
    return {
        "id": spec.id,
        "version": spec.version,
        "versions": list(spec.versions),
        "architecture": spec.architecture,
        "base": {"id": spec.base.id, "sha256": spec.base.sha256, "name": spec.base.name} if spec.base.id else None,
        "rank": spec.rank,
        "alpha": spec.alpha,
        "licence": spec.licence,
        "notes": spec.notes,
        "size": spec.size,
        "sha256": spec.sha256,
        "imported_at": spec.imported_at,
        "source": spec.source,
    }
