"""Shared by the commands that work on the folder of models itself: the catalogue, API views, options."""

from typing import TYPE_CHECKING, Annotated

import typer

from appliance.cli.shared.options import complete_model, text_argument
from appliance.config.places import find_places
from appliance.wire import Model

if TYPE_CHECKING:
    from models.catalog.catalog import Catalog, ModelSpec, Problem


def complete_version(ctx: typer.Context, incomplete: str) -> list[str]:
    """Versions of the model named earlier on the command line; none if it is unknown."""
    from models.errors import ModelError

    try:
        known = catalog().versions(str(ctx.params.get("model") or ""))
    except ModelError:
        return []
    return [one.version for one in known if one.version.startswith(incomplete)]


ModelId = Annotated[
    str,
    typer.Argument(metavar="MODEL", help="The model's id.", autocompletion=complete_model, callback=text_argument),
]
VersionOption = Annotated[
    str | None,
    typer.Option(
        "--version",
        metavar="V",
        help="Only this version, which must not be the one in use.",
        autocompletion=complete_version,
        callback=text_argument,
    ),
]
ReplaceOption = Annotated[
    bool, typer.Option("--replace", help="If the name is taken, add this as its new version; the old one is kept.")
]


def catalog() -> "Catalog":
    """Reads the folder of models."""
    from models.catalog.catalog import Catalog

    return Catalog(find_places().models)


def find_model(models: list[Model], model_id: str) -> Model | None:
    """The model with this id, or None."""
    return next((model for model in models if model.id == model_id), None)


def view(spec: "ModelSpec | Problem") -> Model:
    """A model of the folder as the API would show it, for when no service runs."""
    from appliance.api.views.models import damaged_view, spec_view
    from models.catalog.catalog import Problem

    return damaged_view(spec) if isinstance(spec, Problem) else spec_view(spec)


def kept_before(spec: "ModelSpec") -> str:
    """A sentence about the older versions that are kept; empty without any."""
    others = [one for one in spec.versions if not one.current]
    if not others:
        return ""
    names = ", ".join(one.version for one in others)
    last = others[0].version
    return (
        f"Older versions kept: {names}. `docent models use {spec.id} {last}` switches back, "
        f"`docent models remove {spec.id} --version {last}` frees its disk space."
    )
