"""What the commands share that work on the folder of models itself: the folder, a model as the API shows it, options."""

from typing import TYPE_CHECKING, Annotated

import typer

from appliance.cli.shared.options import complete_model, text_argument
from appliance.config.places import find_places
from appliance.wire import Model

if TYPE_CHECKING:
    from models.catalog.catalog import Catalog, ModelSpec, Problem


def complete_version(ctx: typer.Context, incomplete: str) -> list[str]:
    """Versions of the model that was named before; silent where it is not known."""
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
        help="Only this version of it, which is not the one that answers.",
        autocompletion=complete_version,
        callback=text_argument,
    ),
]
ReplaceOption = Annotated[
    bool, typer.Option("--replace", help="Answer with it under a name that is taken; the version before is kept.")
]


def catalog() -> "Catalog":
    """The folder of models as it is now."""
    from models.catalog.catalog import Catalog

    return Catalog(find_places().models)


def told(models: list[Model], model_id: str) -> Model | None:
    """The model among those that the service told of."""
    return next((model for model in models if model.id == model_id), None)


def view(spec: "ModelSpec | Problem") -> Model:
    """A model of the folder as the API shows it where no service runs."""
    from appliance.api.views.models import damaged_view, spec_view
    from models.catalog.catalog import Problem

    return damaged_view(spec) if isinstance(spec, Problem) else spec_view(spec)


def kept_before(spec: "ModelSpec") -> str:
    """A line about the versions that are kept beside the one that counts; empty without any."""
    others = [one for one in spec.versions if not one.current]
    if not others:
        return ""
    names = ", ".join(one.version for one in others)
    last = others[0].version
    return (
        f"Kept beside it: {names}. `docent models use {spec.id} {last}` goes back, "
        f"`docent models remove {spec.id} --version {last}` frees its room."
    )
