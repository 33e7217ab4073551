"""`docent models versions` and `use`: a name may have several versions, of which one is in use."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from appliance.cli.model_files.installing import rescan
from appliance.cli.model_files.model_folder import ModelId, catalog, complete_version, find_model, view
from appliance.cli.shared.options import JsonOption, examples, text_argument
from appliance.cli.shared.output import print_json, print_model, print_table, print_text
from appliance.display.humanize import amount

if TYPE_CHECKING:
    from models.catalog.catalog import ModelVersion

LIST_EXAMPLES = examples("docent models versions qwen2.5-7b")
USE_EXAMPLES = examples("docent models use qwen2.5-7b 3f9a1c20b7de", "docent models use qwen2.5-7b 3f9a")


def list_versions(model: ModelId, json: JsonOption = False) -> None:
    """List the versions of a model, newest first."""
    _refuse_embedding_model(model)
    found = catalog().versions(model)
    if json:
        print_json({"id": model, "versions": [_as_json(one) for one in found]})
        return
    columns = ("", "version", "quantisation", "size>", "imported", "from")
    print_table(columns, map(_row, found), notes=[""] * len(found))


def use(
    model: ModelId,
    version: Annotated[
        str,
        typer.Argument(
            metavar="VERSION",
            help="A version that `docent models versions` lists; its first characters are enough.",
            autocompletion=complete_version,
            callback=text_argument,
        ),
    ],
    json: JsonOption = False,
) -> None:
    """Switch a model to another version. Answers in progress finish with the old one."""
    _refuse_embedding_model(model)
    spec = catalog().use_version(model, version)
    shown = find_model(rescan(), spec.id) or view(spec)
    if json:
        print_model(shown)
    else:
        print_text(f"{spec.id}: version {spec.version} is now in use")


def remove(model_id: str, version: str, *, json: bool) -> None:
    """Deletes one version's file."""
    gone = catalog().remove_version(model_id, version)
    rescan()
    if json:
        print_json(_as_json(gone))
    else:
        print_text(f"removed version {gone.version} of {model_id}, {amount(gone.size)}")


def _refuse_embedding_model(model_id: str) -> None:
    """Raises UnknownModel for the embedding model, which is not in the catalogue."""
    from appliance.cli.model_files.embedding_model import embedding_model
    from models.errors import UnknownModel

    if embedding_model(model_id):
        why = "it is the embedding model, and has no versions"
        raise UnknownModel(f"the model {model_id}", why, "to use another one, set `embedding.model`")


def _as_json(one: "ModelVersion") -> dict[str, Any]:
    return {
        "version": one.version,
        "current": one.current,
        "sha256": one.sha256,
        "size": one.size,
        "quantisation": one.quantisation or None,
        "imported_at": one.imported_at,
        "source": one.source,
        "revision": one.revision or None,
        "licence": one.licence or None,
    }


def _row(one: "ModelVersion") -> tuple[str, ...]:
    source = f"{one.source} at {one.revision[:8]}" if one.revision else one.source
    return "*" if one.current else "", one.version, one.quantisation, amount(one.size), one.imported_at, source
