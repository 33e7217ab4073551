"""Turns settings into options of the model manager, and reports models and files that do not exist."""

import difflib
from collections.abc import Collection
from pathlib import Path

from appliance.config.model_settings import SAMPLING_KEYS, OwnModelSettings
from appliance.config.settings import Settings
from appliance.errors import ConfigError
from models.residency.options import ModelDefaults, ModelOptions

_CACHE_SHARE = 20
"""A model caches earlier prompts in at most this fraction, a twentieth, of the memory budget. Chosen by eye."""
_LONGEST_TEMPLATE = 1 << 20  # characters, far more than any real template; chosen by eye
_EXTRACTIVE = "extractive"
"""Answers without a language model; always available."""


def model_defaults(settings: Settings, config: Path, *, budget: int, cpus: int) -> ModelDefaults:
    """Build the options for loading models, from a memory `budget` in bytes and the number of `cpus`.

    Raises ConfigError if a template file, relative to the folder of the file `config`, cannot be read.
    """
    chosen = settings.models
    return ModelDefaults(
        context=chosen.context,
        threads=chosen.threads or cpus,
        parallel=chosen.parallel,
        batch=chosen.batch,
        kv_type=chosen.kv_type,
        flash_attention=chosen.flash_attention,
        gpu_layers=chosen.gpu_layers,
        cache_bytes=min(chosen.cache_bytes, budget // _CACHE_SHARE),
        idle_s=chosen.idle_seconds,
        wait_s=chosen.wait_seconds,
        load_s=chosen.load_seconds,
        stall_s=chosen.stall_seconds,
        queue=chosen.queue,
        preload=chosen.preload,
        models={model_id: _own(model_id, own, config) for model_id, own in settings.model.items()},
    )


def unknown_models(settings: Settings, installed: Collection[str]) -> list[str]:
    """List an offence for each setting that names a model which is not installed."""
    named = [(f"model.{name}", name) for name in settings.model]
    named += [("models.preload", name) for name in settings.models.preload]
    if settings.models.default not in ("", _EXTRACTIVE, *settings.providers):
        named.append(("models.default", settings.models.default))
    return [_unknown(key, name, installed) for key, name in named if name not in installed]


def _unknown(key: str, name: str, installed: Collection[str]) -> str:
    near = difflib.get_close_matches(name, installed, n=1)
    return f"{key}: no model {name!r} is installed{f' (did you mean {near[0]}?)' if near else ''}"


def _own(model_id: str, own: OwnModelSettings, config: Path) -> ModelOptions:
    sampling = {key: value for key in SAMPLING_KEYS if (value := getattr(own, key)) is not None}
    return ModelOptions(
        context=own.context,
        threads=own.threads,
        parallel=own.parallel,
        batch=own.batch,
        kv_type=own.kv_type,
        flash_attention=own.flash_attention,
        gpu_layers=own.gpu_layers,
        idle_s=own.idle_seconds,
        template=_template(model_id, config.parent / own.template) if own.template else None,
        sampling=sampling,
    )


def _template(model_id: str, path: Path) -> str:
    what = f"reading model.{model_id}.template = {path}"
    try:
        if not path.is_file():
            raise ConfigError(what, "there is no such file", "give the path of a Jinja chat template")
        with path.open(encoding="utf-8") as file:
            text = file.read(_LONGEST_TEMPLATE + 1)
    except OSError as error:
        raise ConfigError(what, error.strerror or str(error), "make the file readable by the service") from None
    except UnicodeDecodeError as error:
        raise ConfigError(what, f"not UTF-8: {error}", "save the file as UTF-8") from None
    if len(text) > _LONGEST_TEMPLATE:
        raise ConfigError(
            what, f"it is longer than {_LONGEST_TEMPLATE:,} characters", "give the path of a Jinja chat template"
        )
    return text
