"""The tables `[providers.NAME]` of the settings, and the rule for names. Their keys are the fields below."""

import os
import re
from pathlib import Path
from typing import Annotated, Literal, Self
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from appliance.config.places import MAX_SOCKET_PATH

_NAME = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]{0,127}")
_RESERVED_NAMES = ("docent", "extractive", "all-MiniLM-L6-v2")


def names(value: object) -> object:
    """Split a list of names from the environment at its commas; other values pass unchanged."""
    return [name.strip() for name in value.split(",") if name.strip()] if isinstance(value, str) else value


def _fallback_name(name: str) -> str:
    if name == "extractive":
        raise ValueError("it always answers last anyway; leave it out")
    return _free_name(name)


def _free_name(name: str) -> str:
    """Check a name of a provider or model."""
    if not _NAME.fullmatch(name):
        raise ValueError("a name may have only letters, digits, '.', '_' and '-', and at most 128 characters")
    if name in _RESERVED_NAMES:
        raise ValueError(f"the name {name!r} is reserved")
    return name


Name = Annotated[str, AfterValidator(_free_name)]
"""Of a provider or model."""
FallbackNames = Annotated[tuple[Annotated[str, AfterValidator(_fallback_name)], ...], BeforeValidator(names)]
"""Of providers and models, in the order in which they are tried; separated by commas in the environment."""


class ProviderSettings(BaseModel):
    """A model that another server serves: a table `[providers.NAME]`, whose name is the model's."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["ollama", "openai", "transformers"] = Field(
        description="the server's API: ollama, or openai (vLLM, llama-server, any compatible server); or transformers"
    )
    model: str = Field(
        min_length=1, description="the model's name on the server; for transformers its folder on this machine"
    )
    socket: str = Field("", description="Unix socket of the server; the only way if the service has no network")
    url: str = Field("", description="address of the server instead of a socket, http://HOST:PORT")
    context: int = Field(8192, ge=256, le=1 << 24, description="context in tokens, at most what the server reports")
    api_key_file: str = Field(
        "", description="file with the key sent as bearer token; must not be readable by all users"
    )
    connect_seconds: float = Field(5.0, gt=0, le=600, description="longest wait for a connection")
    first_token_seconds: float = Field(60.0, gt=0, le=3600, description="longest wait for the first token")
    token_seconds: float = Field(30.0, gt=0, le=3600, description="longest wait between two tokens")
    answer_seconds: float = Field(600.0, gt=0, le=86_400, description="longest time for a whole answer")
    failure_rate: float = Field(0.5, gt=0, le=1, description="share of failed answers at which it is paused")
    failure_calls: int = Field(5, ge=1, le=1000, description="answers that must be counted before it is paused")
    window_seconds: float = Field(60.0, gt=0, le=86_400, description="time over which answers are counted")
    slow_seconds: float = Field(
        0.0,
        ge=0,
        le=3600,
        description="95th percentile of the time to the first token above which it is paused; 0: never",
    )
    open_seconds: float = Field(30.0, gt=0, le=86_400, description="time for which it stays paused")
    probes: int = Field(1, ge=1, le=100, description="trial answers after the pause; all must succeed")

    @model_validator(mode="after")
    def _one_place(self) -> Self:
        if self.kind == "transformers":
            if self.socket or self.url:
                raise ValueError("transformers runs in this process: it takes neither socket nor url")
            return self
        if bool(self.socket) == bool(self.url):
            raise ValueError(f"it needs either socket or url, {'not both' if self.socket else 'but has neither'}")
        if self.socket and not Path(self.socket).is_absolute():
            raise ValueError("socket must be an absolute path, such as /run/server.sock")
        if self.socket and len(os.fsencode(self.socket)) > MAX_SOCKET_PATH:
            raise ValueError(f"socket is longer than the {MAX_SOCKET_PATH} bytes that Linux allows")
        if self.url:
            _check_url(self.url)
        return self


def _check_url(url: str) -> None:
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError as error:
        raise ValueError(f"url is not an address: {error}") from None
    if parts.scheme not in ("http", "https") or not host:
        raise ValueError("url must be http://HOST:PORT or https://HOST")
    if parts.username or parts.password:
        raise ValueError("url must not contain a user or password; put a key into api_key_file")
    if parts.path.rstrip("/") or parts.query or parts.fragment:
        raise ValueError("url must be only the server's address, without a path such as /v1")
