"""`docent config`: shows every key with its meaning, its value and the value's source.

The output of `config show` is a valid `docent.toml`, so it can be the start of one.
"""

import json as json_library
import os
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from appliance.cli.shared.options import JsonOption, command_group, examples
from appliance.cli.shared.output import print_json, print_text
from appliance.config.loading import load
from appliance.config.model_options import model_defaults, unknown_models
from appliance.config.places import Places, find_places
from appliance.config.provider_specs import provider_specs, unknown_fallbacks
from appliance.config.settings import NAMED_TABLES, SECTIONS, Settings
from appliance.errors import ConfigError

app = command_group()


@app.callback()
def _config() -> None:
    """Show and check the configuration."""


@dataclass(frozen=True, slots=True)
class Setting:
    """One key. `source` is the file's path, `environment` followed by the variable's name, or `default`."""

    key: str
    value: Any
    default: Any
    source: str
    description: str
    environment: str


@app.command(epilog=examples("docent config show", "docent config show > docent.toml"))
def show(json: JsonOption = False) -> None:
    """Print every setting as TOML. Each has its value, default, meaning and source."""
    places = find_places()
    chosen = load(places)
    settings = list(explain(chosen, places.config, os.environ))
    if json:
        print_json({"places": _places(places), "settings": [asdict(setting) for setting in settings]})
        return
    for name, path in _places(places).items():
        print_text(f"# {name}: {path}")
    section = ""
    for setting in settings:
        named, _, key = setting.key.rpartition(".")
        if named != section:
            print_text(f"\n[{_header(named)}]")
            section = named
        print_text(f"# {setting.description}")
        print_text(f"{key} = {_toml(setting.value)}  # {_source(setting)}")
    if not chosen.providers:
        print_text("\n# No provider is configured: [providers.NAME], see docs/operations.md.")
    if not chosen.model:
        print_text("\n# No model has settings of its own: [model.ID], see docs/operations.md.")


@app.command(epilog=examples("docent config check", "DOCENT_CONFIG=new.toml docent config check"))
def check(json: JsonOption = False) -> None:
    """Check the configuration: file and environment. Every fault is reported, with exit code 2."""
    places = find_places()
    chosen = load(places)
    _check_names(chosen, places)
    changed = [setting for setting in explain(chosen, places.config, os.environ) if setting.source != "default"]
    if json:
        print_json({"ok": True, "file": str(places.config), "set": [setting.key for setting in changed]})
    elif places.config.exists():
        print_text(f"{places.config} is valid. {_counted(changed)}")
    else:
        print_text(f"There is no {places.config}, and none is needed. {_counted(changed)}")


def _check_names(settings: Settings, places: Places) -> None:
    """Raises ConfigError for a key or file that cannot be used, and for unknown models and providers."""
    provider_specs(settings)
    model_defaults(settings, places.config, budget=0, cpus=1)
    try:
        installed = [folder.name for folder in places.models.iterdir() if not folder.name.startswith(".")]
    except FileNotFoundError:
        installed = []
    except OSError:
        return  # the models belong to another user and cannot be listed
    if wrong := [*unknown_fallbacks(settings, installed), *unknown_models(settings, installed)]:
        hint = "`docent models list` shows the installed models; a provider is a table [providers.NAME]"
        raise ConfigError(f"reading {places.config}", "; ".join(wrong), hint)


def _counted(changed: list[Setting]) -> str:
    """A sentence that counts the settings from the file and from the environment."""
    from_environment = sum(setting.source.startswith("environment ") for setting in changed)
    in_file = len(changed) - from_environment
    parts = [f"{in_file} from the file"] * bool(in_file) + [f"{from_environment} from the environment"] * bool(
        from_environment
    )
    return f"Settings: {', '.join(parts)}; the others are the defaults." if parts else "All settings are the defaults."


def explain(settings: Settings, file: Path, environment: Mapping[str, str]) -> Iterator[Setting]:
    """Yields every key of `settings` in their order, with the source of its value."""
    in_file = tomllib.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}
    for section in SECTIONS:
        for key, field, value in _fields(getattr(settings, section)):
            variable = f"DOCENT_{section}_{key}".upper()
            source = str(file) if key in in_file.get(section, {}) else "default"
            source = f"environment {variable}" if variable in environment else source
            yield Setting(f"{section}.{key}", value, _default(field), source, field.description or "", variable)
    for table in NAMED_TABLES:
        for name, values in getattr(settings, table).items():
            given = in_file.get(table, {}).get(name, {})
            for key, field, value in _fields(values):
                if value is None:  # TOML has no null
                    continue
                source = str(file) if key in given else "default"
                yield Setting(f"{table}.{name}.{key}", value, _default(field), source, field.description or "", "")


def _fields(values: BaseModel) -> Iterator[tuple[str, FieldInfo, Any]]:
    for key, field in type(values).model_fields.items():
        yield key, field, getattr(values, key)


def _default(field: FieldInfo) -> Any:
    return None if field.is_required() else field.default


def _places(places: Places) -> dict[str, str]:
    return {
        "configuration": str(places.config) + ("" if places.config.exists() else " (absent)"),
        "home": str(places.home),
        "library": str(places.library),
        "socket": str(places.socket),
    }


def _header(section: str) -> str:
    """A table's name in TOML; a name with a dot is quoted."""
    first, _, name = section.partition(".")
    return f'{first}."{name}"' if "." in name else section


def _source(setting: Setting) -> str:
    if setting.source == "default":
        return "the default"
    return setting.source if setting.default is None else f"{setting.source}; default {_toml(setting.default)}"


def _toml(value: Any) -> str:
    """A string, number, boolean or list of strings in TOML, whose syntax for these is that of JSON."""
    return json_library.dumps(value)
