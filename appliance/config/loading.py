"""Loads TOML file and environment into one frozen `Settings`; every error names file, key, value and hint.

A setting comes from `DOCENT_<SECTION>_<KEY>` if set, else from the file, else from its default.
"""

import difflib
import os
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from appliance.config.places import Places
from appliance.config.settings import SECTIONS, Settings
from appliance.errors import ConfigError

_ENVIRONMENT_PREFIX = "DOCENT_"
_RESERVED_ENVIRONMENT = {"DOCENT_HOME", "DOCENT_CONFIG", "DOCENT_SOCKET", "DOCENT_PYTHON"}
_MESSAGES = {"extra_forbidden": "unknown key", "missing": "this key is required"}


def load(places: Places, environment: Mapping[str, str] = os.environ) -> Settings:
    """Read the settings from file and environment.

    Raises:
        ConfigError: the file cannot be read, or keys are unknown or out of range; it lists every offence.
    """
    values = _from_file(places.config)
    known, unknown = _from_environment(environment)
    for section, key, value in known:
        if isinstance(table := values.setdefault(section, {}), dict):  # else the validation below reports it
            table[key] = value
    try:
        settings = Settings.model_validate(values)
    except ValidationError as error:
        raise _wrong(places.config, [*_offences(error), *unknown]) from None
    if unknown:
        raise _wrong(places.config, unknown)
    return settings


def _from_file(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"reading {path}", f"not valid TOML: {error}", "correct that line") from None
    except UnicodeDecodeError as error:
        raise ConfigError(f"reading {path}", f"not UTF-8: {error}", "save the file as UTF-8") from None
    except OSError as error:
        raise ConfigError(
            f"reading {path}", error.strerror or str(error), "make the file readable by the service"
        ) from None


def _from_environment(environment: Mapping[str, str]) -> tuple[list[tuple[str, str, str]], list[str]]:
    """Return section, key and value of every variable that is a setting, and an offence for each unknown one."""
    names = {
        f"{_ENVIRONMENT_PREFIX}{section}_{key}".upper(): (section, key)
        for section, fields in SECTIONS.items()
        for key in fields.model_fields
    }
    known, unknown = [], []
    for name, value in environment.items():
        if name in names:
            known.append((*names[name], value))
        elif name.startswith(f"{_ENVIRONMENT_PREFIX}PROVIDERS"):
            unknown.append(f"{name}: providers can only be configured in the file, as [providers.NAME]")
        elif name.startswith(_ENVIRONMENT_PREFIX) and name not in _RESERVED_ENVIRONMENT:
            near = difflib.get_close_matches(name, [*names, *_RESERVED_ENVIRONMENT], n=1, cutoff=0.75)
            unknown.append(f"{name}: unknown variable{f' (did you mean {near[0]}?)' if near else ''}")
    return known, unknown


def _offences(error: ValidationError) -> list[str]:
    offences = []
    for item in error.errors():
        key = ".".join(str(part) for part in item["loc"])
        without_value = item["type"] in ("missing", "extra_forbidden") or isinstance(item["input"], dict)
        value = "" if without_value else f" = {item['input']!r}"
        message = _MESSAGES.get(item["type"]) or item["msg"].removeprefix("Value error, ")
        offences.append(f"{key.removesuffix('.[key]')}{value}: {message}")
    return offences


def _wrong(path: Path, offences: list[str]) -> ConfigError:
    return ConfigError(
        f"reading {path} and the DOCENT_ environment variables",
        "; ".join(offences),
        "`docent config show` lists every key with its default and meaning",
    )
