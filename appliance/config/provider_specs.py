"""Turns the settings of providers into `ProviderSpec`s: reads their keys and checks names."""

import os
import stat
from collections.abc import Collection
from pathlib import Path

from appliance.config.provider_settings import ProviderSettings
from appliance.config.settings import Settings
from appliance.errors import ConfigError
from models.providers.interface import BreakerLimits, ProviderSpec, Timeouts

_LONGEST_KEY = 4096  # bytes, far more than any real key; chosen by eye


def provider_specs(settings: Settings) -> tuple[ProviderSpec, ...]:
    """Build the configured providers.

    Raises:
        ConfigError: a key file cannot be read, is readable by all users, or does not hold one key.
    """
    return tuple(_spec(name, chosen) for name, chosen in settings.providers.items())


def _spec(name: str, chosen: ProviderSettings) -> ProviderSpec:
    return ProviderSpec(
        id=name,
        kind=chosen.kind,
        model=chosen.model,
        socket=Path(chosen.socket) if chosen.socket else None,
        url=chosen.url.rstrip("/"),
        context=chosen.context,
        api_key=read_key(name, Path(chosen.api_key_file)) if chosen.api_key_file else "",
        timeouts=Timeouts(
            chosen.connect_seconds, chosen.first_token_seconds, chosen.token_seconds, chosen.answer_seconds
        ),
        breaker=BreakerLimits(
            window_s=chosen.window_seconds,
            min_calls=chosen.failure_calls,
            failure_rate=chosen.failure_rate,
            slow_s=chosen.slow_seconds,
            open_s=chosen.open_seconds,
            probes=chosen.probes,
        ),
    )


def read_key(name: str, path: Path) -> str:
    """Read the key in a provider's `api_key_file`: one line of visible ASCII.

    Raises:
        ConfigError: the file cannot be read, is readable by all users, or does not hold one key.
    """
    what = f"reading api_key_file = {str(path)!r} of [providers.{name}]"
    try:
        with open(path, "rb", opener=lambda file, flags: os.open(file, flags | os.O_NONBLOCK)) as file:
            found = os.fstat(file.fileno())
            if not stat.S_ISREG(found.st_mode):
                raise ConfigError(what, "it is not a regular file", "give the path of the file that holds the key")
            if found.st_mode & stat.S_IROTH:
                raise ConfigError(what, "every user of this machine can read it", f"chmod o= {path}")
            data = file.read(_LONGEST_KEY + 1)
    except OSError as error:
        hint = f"make it readable by the service: chgrp docent {path} && chmod 640 {path}"
        raise ConfigError(what, error.strerror or str(error), hint) from None
    key = data.strip()
    if not key or len(data) > _LONGEST_KEY or any(not 33 <= byte <= 126 for byte in key):
        raise ConfigError(what, "it does not hold one key on one line", "put only the key into it")
    return key.decode("ascii")


def unknown_fallbacks(settings: Settings, installed: Collection[str]) -> list[str]:
    """List an offence for each name in `answer.fallback` that is unknown, and each provider that a model hides."""
    known = {*settings.providers, *installed}
    wrong = [
        f"answer.fallback names {name!r}, which is neither a configured provider nor an installed model"
        for name in settings.answer.fallback
        if name not in known
    ]
    wrong += [
        f"providers.{name}: a model on this machine has the same name and answers instead"
        for name in settings.providers
        if name in installed
    ]
    return wrong
