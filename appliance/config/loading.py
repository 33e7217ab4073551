"""Loads TOML file and environment into one frozen `Settings`; every error names file, key, value and hint.

A setting comes from `DOCENT_<SECTION>_<KEY>` if set, else from the file, else from its default.
"""

import difflib
import os
import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from appliance.config.places import Places
from appliance.config.plain_words import plain_words
from appliance.config.settings import NAMED_TABLES, SECTIONS, Settings
from appliance.errors import ConfigError

_ENVIRONMENT_PREFIX = "DOCENT_"
_RESERVED_ENVIRONMENT = {"DOCENT_HOME", "DOCENT_CONFIG", "DOCENT_SOCKET", "DOCENT_PYTHON"}


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
            unknown.append(f"{name}: unknown variable{_guess(name, [*names, *_RESERVED_ENVIRONMENT])}")
    return known, unknown


def _offences(error: ValidationError) -> list[str]:
    offences = []
    for item in error.errors():
        key = ".".join(str(part) for part in item["loc"])
        without_value = item["type"] in ("missing", "extra_forbidden") or isinstance(item["input"], dict)
        value = "" if without_value else f" = {item['input']!r}"
        offences.append(f"{key.removesuffix('.[key]')}{value}: {_message(item)}")
    return offences


def _message(item: ErrorDetails) -> str:
    if item["type"] == "missing":
        return "this key is required"
    if item["type"] != "extra_forbidden":
        return plain_words(item["msg"])
    *section, name = map(str, item["loc"])
    if not section:
        kind = "section" if isinstance(item["input"], dict) else "key"
        return f"unknown {kind}{_guess(name, Settings.model_fields)}"
    table = {**SECTIONS, **NAMED_TABLES}.get(section[0])
    return f"unknown key{_guess(name, table.model_fields if table else ())}"


def _guess(name: str, known: Iterable[str]) -> str:
    near = difflib.get_close_matches(name, list(known), n=1, cutoff=0.75)
    return f" (did you mean {near[0]}?)" if near else ""


def _wrong(path: Path, offences: list[str]) -> ConfigError:
    return ConfigError(
        f"reading {path} and the DOCENT_ environment variables",
        "; ".join(offences),
        "`docent config show` lists every key with its default and meaning",
    )
