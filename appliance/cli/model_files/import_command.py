"""`docent models import`: installs a file, or the models of a folder such as a USB stick.

Rule: from a folder with several models nothing is installed without `--all`. Skipped files are listed with the reason.
A model that fails does not stop the others; the exit code then is not 0.
"""

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from appliance.cli.model_files.installing import progress_bar, require_file, rescan
from appliance.cli.model_files.model_folder import ReplaceOption, catalog, find_model, kept_before, view
from appliance.cli.shared.options import InstallIdOption, JsonOption, examples
from appliance.cli.shared.output import error_body, print_error, print_json, print_model, print_text
from appliance.display.humanize import amount
from appliance.display.path_names import display_name
from appliance.errors import EXIT_FAILED, outcome
from appliance.wire import Model
from models.errors import FileNotChosen, InvalidModelFile, ModelError

if TYPE_CHECKING:
    from models.acquisition.folder_scan import FoundModel, SkippedFile
    from models.catalog.catalog import ModelSpec

EXAMPLES = examples(
    "docent models import qwen2.5-7b-q4.gguf",
    "docent models import f.gguf --id qwen",
    "docent models import /media/usb --all",
)


def import_model(
    path: Annotated[Path, typer.Argument(metavar="PATH", help="A language model in GGUF format, or a folder of them.")],
    model_id: InstallIdOption = None,
    every: Annotated[bool, typer.Option("--all", help="All models of the folder.")] = False,
    replace: ReplaceOption = False,
    json: JsonOption = False,
) -> None:
    """Install GGUF models. They are checked, also against checksum files beside them, hashed and copied."""
    if path.is_dir():
        _import_folder(path, model_id, every=every, replace=replace, json=json)
        return
    require_file(path)
    spec = _import_file(path, model_id, replace=replace, quiet=json)
    model = find_model(rescan(), spec.id) or view(spec)
    if json:
        print_model(model)
    else:
        _print_installed(spec, model)


def _import_file(path: Path, model_id: str | None, *, replace: bool, quiet: bool) -> "ModelSpec":
    from models.acquisition.checksums import expected_sha256
    from models.acquisition.file_choice import why_not
    from models.acquisition.folder_scan import copied_model

    if reason := why_not(path.name):
        raise InvalidModelFile(f"importing {_shown(path)}", reason, "import a whole language model")
    copied = copied_model(path)
    expected = expected_sha256(path) or (copied.sha256 if copied else "")
    with progress_bar(path.name, quiet=quiet) as progress:
        return catalog().import_gguf(
            path,
            model_id=model_id or (copied.id if copied else None),
            replace=replace,
            expected=expected,
            origin=copied.origin if copied else None,
            progress=progress,
        )


@dataclass(slots=True)
class _Outcome:
    """The results for a folder's models."""

    installed: "list[ModelSpec]" = field(default_factory=list)
    failed: list[tuple[Path, ModelError]] = field(default_factory=list)


def _import_folder(folder: Path, model_id: str | None, *, every: bool, replace: bool, json: bool) -> None:
    from models.acquisition.folder_scan import look_into

    found, skipped = look_into(folder)
    _check_choice(folder, found, skipped, model_id, every=every)
    done = _Outcome()
    for one in found:
        try:
            done.installed.append(_import_file(one.path, model_id, replace=replace, quiet=json))
        except ModelError as error:
            done.failed.append((one.path, error))
    models = rescan()
    shown = [find_model(models, spec.id) or view(spec) for spec in done.installed]
    if json:
        print_json(_as_json(shown, done, skipped))
    else:
        _print_all(shown, done, skipped)
    if done.failed:
        raise typer.Exit(outcome(done.failed[0][1]).exit_code if len(done.failed) == len(found) else EXIT_FAILED)


def _check_choice(
    folder: Path,
    found: "tuple[FoundModel, ...]",
    skipped: "tuple[SkippedFile, ...]",
    model_id: str | None,
    *,
    every: bool,
) -> None:
    """Raises InvalidModelFile if there is no model, FileNotChosen if there are several and none is chosen."""
    what = f"importing from {_shown(folder)}"
    if not found:
        listed = "".join(f"\n    {_shown(one.path)}: {one.why}" for one in skipped)
        why = "none of its GGUF files can be used" if skipped else "it contains no GGUF file"
        raise InvalidModelFile(what, f"{why}{listed}", "choose a folder with a language model in GGUF format")
    if len(found) > 1 and (not every or model_id):
        listed = "".join(
            f"\n    {_shown(one.path)}  ({amount(one.header.file_bytes)}, {one.header.quantisation})" for one in found
        )
        why = "--id is for one model, and it" if every else "it"
        hint = "import one of them by its file's path, or all with --all and without --id"
        raise FileNotChosen(what, f"{why} holds {len(found)}:{listed}", hint)


def _as_json(models: list[Model], done: _Outcome, skipped: "tuple[SkippedFile, ...]") -> dict[str, Any]:
    return {
        "models": [model.model_dump(mode="json") for model in models],
        "failed": [{"file": _shown(path), "error": error_body(error)} for path, error in done.failed],
        "skipped": [{"file": _shown(one.path), "reason": one.why} for one in skipped],
    }


def _print_all(models: list[Model], done: _Outcome, skipped: "tuple[SkippedFile, ...]") -> None:
    for spec, model in zip(done.installed, models, strict=True):
        _print_installed(spec, model)
    for one in skipped:
        print_text(f"skipped {_shown(one.path)}: {one.why}")
    for _, error in done.failed:
        print_error(error)


def _print_installed(spec: "ModelSpec", model: Model) -> None:
    print_text(f"installed {model.id}: {model.architecture}, {model.quantisation or '?'}, {amount(model.size)}")
    if spec.template == "chatml":
        print_text("The file has no chat template; ChatML is used.")
    if kept := kept_before(spec):
        print_text(kept)


def _shown(path: Path) -> str:
    return display_name(os.fsencode(path))
