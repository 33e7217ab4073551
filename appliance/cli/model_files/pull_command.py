"""`docent models pull` and `suggest`: fetches models from a hub, and names recommended ones that fit this machine.

Rule: `pull` is the only command that uses the network. The access token comes from a file, never from the command line,
and is never shown.
"""

import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from appliance.cli.model_files.installing import progress_bar, rescan
from appliance.cli.model_files.model_folder import catalog, find_model, kept_before, view
from appliance.cli.shared.options import InstallIdOption, JsonOption, connect, examples, text_argument
from appliance.cli.shared.output import print_json, print_model, print_table, print_text
from appliance.config.loading import load
from appliance.config.places import find_places
from appliance.display.humanize import amount
from appliance.display.safe_text import clean_line
from appliance.errors import ConfigError, DocentError

if TYPE_CHECKING:
    from models.acquisition.hub import Hub
    from models.acquisition.pull import PullRequest
    from models.acquisition.recommended import Machine, Recommended, Suggestion
    from models.catalog.catalog import ModelSpec

PULL_EXAMPLES = examples(
    "docent models pull mistral-7b-instruct",
    "docent models pull bartowski/Qwen2.5-7B-Instruct-GGUF",
    "docent models pull bartowski/Qwen2.5-7B-Instruct-GGUF:Q5_K_M --id qwen",
    "docent models pull OWNER/NAME:FILE.gguf --token-file ~/hub-token",
)
SUGGEST_EXAMPLES = examples("docent models suggest", "docent models suggest --context 4096 --json")
_MAX_TOKEN_FILE = 4096


def complete_recommended(incomplete: str) -> list[str]:
    """Names of the recommended models."""
    from models.acquisition.recommended import CATALOGUE

    return [model.id for model in CATALOGUE if model.id.startswith(incomplete)]


def pull(
    model: Annotated[
        str,
        typer.Argument(
            metavar="REPO[:FILE]",
            help="A repository on the hub with a file or quantisation in it, or a name that `suggest` shows.",
            autocompletion=complete_recommended,
            callback=text_argument,
        ),
    ],
    model_id: InstallIdOption = None,
    revision: Annotated[
        str | None,
        typer.Option(metavar="REV", help="A branch, tag or commit; default: the newest.", callback=text_argument),
    ] = None,
    token_file: Annotated[
        Path | None, typer.Option(metavar="FILE", help="File with an access token, for models that need one.")
    ] = None,
    json: JsonOption = False,
) -> None:
    """Fetch a GGUF model from a hub. An interrupted download is resumed; the file is verified, then installed."""
    from models.acquisition.hub import Hub
    from models.acquisition.pull import look_up
    from models.acquisition.pull import pull as fetch
    from models.catalog.catalog import checked_id

    repo, file, chosen = _resolve(model, model_id)
    settings = load(find_places()).hub
    token = _token(token_file or os.environ.get("HF_TOKEN_PATH") or settings.token_file)
    if model_id:
        checked_id(model_id)
    with Hub(settings.endpoint or os.environ.get("HF_ENDPOINT") or "", token) as hub:
        if not json:
            print_text(f"looking up {clean_line(repo)} on {hub.endpoint} …")
        wanted = look_up(hub, repo, file, revision=revision or "", model_id=chosen)
        if not json:
            _announce(hub, wanted)
        with progress_bar(wanted.model_id, quiet=json, rate=True) as progress:
            try:
                spec = fetch(hub, wanted, catalog(), progress)
            except KeyboardInterrupt:
                print_text("stopped; the partial download is kept, and the same command resumes it", stderr=True)
                raise
    shown = find_model(rescan(), spec.id) or view(spec)
    if json:
        print_model(shown)
    else:
        _print_installed(spec)


def _resolve(given: str, model_id: str | None) -> tuple[str, str, str]:
    """Repository, file and id that the argument stands for."""
    from models.acquisition.recommended import by_name

    name, _, file = given.removeprefix("https://huggingface.co/").rstrip("/").partition(":")
    entry = by_name(name)
    if entry is None:
        return name, file, model_id or ""
    return entry.repo, file or entry.file, model_id or (f"{entry.id}-{file.lower()}" if file else entry.id)


def _announce(hub: "Hub", wanted: "PullRequest") -> None:
    licence = wanted.repo.licence or "not stated on its model card"
    print_text(f"{wanted.repo.id}:{wanted.file.name} at {wanted.repo.commit[:8]} from {hub.endpoint}")
    print_text(f"{amount(wanted.file.size)}, licence: {licence}")


def _print_installed(spec: "ModelSpec") -> None:
    header = spec.header
    print_text(f"installed {spec.id}: {header.architecture}, {header.quantisation}, {amount(spec.size)}, verified")
    if spec.template == "chatml":
        print_text("The file has no chat template; ChatML is used.")
    if kept := kept_before(spec):
        print_text(kept)


def _token(path: str | Path) -> str:
    """The access token in this file; empty without a path. Raises ConfigError, which never shows the content."""
    if not path:
        return ""
    file = Path(path).expanduser()
    what = f"reading the token file {clean_line(str(file))}"
    try:
        mode = file.stat().st_mode
        if not file.is_file() or file.stat().st_size > _MAX_TOKEN_FILE:
            raise ConfigError(what, "it is not a small file", "put the access token, and nothing else, into a file")
        token = file.read_text(encoding="ascii").strip()
    except UnicodeDecodeError:
        token, mode = "", 0
    except OSError as error:
        raise ConfigError(
            what, error.strerror or str(error), "check --token-file, HF_TOKEN_PATH, `hub.token_file`"
        ) from None
    if not token or not token.isprintable() or " " in token:
        raise ConfigError(what, "it is not just an access token", "put the access token, and nothing else, into it")
    if mode & 0o077:
        print_text(f"docent: other users may read {clean_line(str(file))}", stderr=True)
        print_text(f"  → `chmod 600 {clean_line(str(file))}`", stderr=True)
    return token


def suggest(
    context: Annotated[
        int | None, typer.Option(min=256, max=1 << 20, metavar="N", help="Context in tokens; default: as configured.")
    ] = None,
    json: JsonOption = False,
) -> None:
    """List recommended models, and which of them fit this machine."""
    from models.acquisition.recommended import suggest as judge

    settings = load(find_places()).models
    tokens = context or settings.context
    machine = _machine(settings.memory_bytes)
    found = judge(machine, tokens)
    if json:
        print_json(_as_json(machine, tokens, found))
    else:
        _print_suggestions(machine, tokens, found)


def _machine(configured: int) -> "Machine":
    from models.acquisition.recommended import Machine, copy_rate
    from models.hardware.cpus import effective_cpus
    from models.hardware.ram import default_budget

    folder = _nearest_existing(find_places().models)
    memory = _service_budget() or configured or default_budget()
    return Machine(memory, shutil.disk_usage(folder).free, effective_cpus(), copy_rate())


def _service_budget() -> int:
    """The memory budget in bytes of the running service, which knows its own cgroup's limit; 0 without a service."""
    try:
        with connect() as client:
            return client.memory().budget
    except DocentError:
        return 0


def _as_json(machine: "Machine", context: int, found: "tuple[Suggestion, ...]") -> dict[str, Any]:
    from models.acquisition.recommended import CONTEXTS, KV_TYPES

    def needs(model: "Recommended") -> list[dict[str, Any]]:
        return [
            {"context": tokens, "kv_type": kind, "memory": model.need_bytes(tokens, kind)}
            for tokens in CONTEXTS
            if tokens <= model.context
            for kind in KV_TYPES
        ]

    return {
        "machine": {"memory": machine.memory, "disk": machine.disk, "cores": machine.cores},
        "context": context,
        "best": next((one.model.id for one in found if one.best), None),
        "models": [
            {
                "id": one.model.id,
                "repo": one.model.repo,
                "file": one.model.file,
                "size": one.model.size,
                "size_is_approximate": True,
                "parameters": one.model.parameters,
                "quantisation": one.model.quantisation,
                "licence": one.model.licence,
                "note": one.model.note or None,
                "context": one.model.context,
                "memory": one.need,
                "memory_at": needs(one.model),
                "tokens_per_second_estimate": round(one.tokens_per_second, 1),
                "speed": one.speed,
                "fits": not one.why_not,
                "why_not": one.why_not or None,
                "best": one.best,
                "command": f"docent models pull {one.model.id}",
            }
            for one in found
        ],
    }


def _print_suggestions(machine: "Machine", context: int, found: "tuple[Suggestion, ...]") -> None:
    print_text(
        f"This machine: {amount(machine.memory)} of memory for models, {amount(machine.disk)} free on the disk, "
        f"{machine.cores} cores."
    )
    columns = ("", "model", "size>", f"memory at {context:,}>", "speed (estimate)", "licence")
    print_table(columns, map(_row, found), notes=[one.why_not or one.model.note for one in found])
    print_text("Sizes are approximate; speeds are estimated from the memory's bandwidth, without a GPU.")
    best = next((one.model for one in found if one.best), None)
    if best is None:
        print_text("None of them fits. Raise `models.memory_bytes`, free disk space, or use a smaller --context.")
        return
    print_text(f"Best for this machine: {best.id}\n  {'' if _may_write() else 'sudo '}docent models pull {best.id}")


def _may_write() -> bool:
    return os.access(_nearest_existing(find_places().models), os.W_OK)


def _nearest_existing(folder: Path) -> Path:
    """The folder itself, or the nearest of its parents that exists."""
    while not folder.exists():
        folder = folder.parent
    return folder


def _row(one: "Suggestion") -> tuple[str, ...]:
    mark = "*" if one.best else "-" if one.why_not else ""
    speed = f"{one.speed}, ~{one.tokens_per_second:.0f} tok/s"
    return mark, one.model.id, amount(one.model.size), amount(one.need), speed, one.model.licence
