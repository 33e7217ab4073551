"""`docent config`: every key with its meaning, its value and where that came from.

What `config show` prints is a valid `docent.toml`, so that it can be the start of one.
"""

import json as json_library
import os
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from appliance.cli.options import JsonOption, command_group, examples
from appliance.cli.output import print_json, print_text
from appliance.config import Places, Settings, find_places, load

app = command_group()


@app.callback()
def _config() -> None:
    """Show and check the configuration."""


@dataclass(frozen=True, slots=True)
class Setting:
    """One key: `source` is the file's path, `environment` followed by the variable, or `default`."""

    key: str
    value: Any
    default: Any
    source: str
    description: str
    environment: str


@app.command(epilog=examples("docent config show", "docent config show > docent.toml"))
def show(json: JsonOption = False) -> None:
    """Print every setting with its value, default, meaning and source, as TOML."""
    places = find_places()
    settings = list(explain(load(places), places.config, os.environ))
    if json:
        print_json({"places": _places(places), "settings": [asdict(setting) for setting in settings]})
        return
    for name, path in _places(places).items():
        print_text(f"# {name}: {path}")
    section = ""
    for setting in settings:
        named, _, key = setting.key.partition(".")
        if named != section:
            print_text(f"\n[{named}]")
            section = named
        print_text(f"# {setting.description}")
        source = "the default" if setting.source == "default" else f"{setting.source}; default {_toml(setting.default)}"
        print_text(f"{key} = {_toml(setting.value)}  # {source}")


@app.command(epilog=examples("docent config check", "DOCENT_CONFIG=new.toml docent config check"))
def check(json: JsonOption = False) -> None:
    """Check the configuration file and the DOCENT_ environment variables; says every fault, exit code 2."""
    places = find_places()
    settings = explain(load(places), places.config, os.environ)
    changed = [setting for setting in settings if setting.source != "default"]
    if json:
        print_json({"ok": True, "file": str(places.config), "set": [setting.key for setting in changed]})
    elif places.config.exists():
        print_text(f"{places.config} is sound. {_counted(changed)}")
    else:
        print_text(f"There is no {places.config}, and none is needed. {_counted(changed)}")


def _counted(changed: list[Setting]) -> str:
    """How many settings the file and the environment set."""
    from_environment = sum(setting.source.startswith("environment ") for setting in changed)
    in_file = len(changed) - from_environment
    parts = [f"{in_file} from the file"] * bool(in_file) + [f"{from_environment} from the environment"] * bool(
        from_environment
    )
    return f"Settings: {', '.join(parts)}; the others are the defaults." if parts else "All settings are the defaults."


def explain(settings: Settings, file: Path, environment: Mapping[str, str]) -> Iterator[Setting]:
    """Every key of `settings`, in their order, with where its value came from."""
    in_file = tomllib.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}
    for section, section_field in Settings.model_fields.items():
        values, defaults = getattr(settings, section), section_field.default
        for key, field in type(values).model_fields.items():
            variable = f"DOCENT_{section}_{key}".upper()
            source = "default"
            if variable in environment:
                source = f"environment {variable}"
            elif key in in_file.get(section, {}):
                source = str(file)
            yield Setting(
                f"{section}.{key}",
                getattr(values, key),
                getattr(defaults, key),
                source,
                field.description or "",
                variable,
            )


def _places(places: Places) -> dict[str, str]:
    return {
        "configuration": str(places.config) + ("" if places.config.exists() else " (absent)"),
        "home": str(places.home),
        "library": str(places.library),
        "socket": str(places.socket),
    }


def _toml(value: Any) -> str:
    """A string, number or boolean in TOML, which writes these as JSON does."""
    return json_library.dumps(value)
