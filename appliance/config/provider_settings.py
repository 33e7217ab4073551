"""The tables `[providers.NAME]` of the settings, and what a name may be. The names of its keys are the fields below."""

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
    """A list of names as the environment gives it: separated by commas."""
    return [name.strip() for name in value.split(",") if name.strip()] if isinstance(value, str) else value


def _fallback_name(name: str) -> str:
    if name == "extractive":
        raise ValueError("it always answers last by itself; leave it out")
    return _free_name(name)


def _free_name(name: str) -> str:
    """A name that a provider or model may have."""
    if not _NAME.fullmatch(name):
        raise ValueError("a name has letters, digits, '.', '_' and '-' only, at most 128 of them")
    if name in _RESERVED_NAMES:
        raise ValueError(f"the name {name!r} is reserved")
    return name


Name = Annotated[str, AfterValidator(_free_name)]
"""Of a provider."""
FallbackNames = Annotated[tuple[Annotated[str, AfterValidator(_fallback_name)], ...], BeforeValidator(names)]
"""Of providers and models, in the order in which they are tried."""


class ProviderSettings(BaseModel):
    """A model that another server serves: a table `[providers.NAME]`, whose name is the model's."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["ollama", "openai", "transformers"] = Field(
        description="what it speaks: ollama, openai (vLLM, llama-server, any compatible server); or transformers"
    )
    model: str = Field(min_length=1, description="the model's name there; for transformers its folder on this machine")
    socket: str = Field("", description="Unix socket of the server; the only way for a service without a network")
    url: str = Field("", description="address of the server instead of a socket, http://HOST:PORT")
    context: int = Field(8192, ge=256, le=1 << 24, description="context in tokens, at most what the server tells")
    api_key_file: str = Field("", description="file with the key sent as bearer token; not readable by everybody")
    connect_seconds: float = Field(5.0, gt=0, le=600, description="longest wait for a connection")
    first_token_seconds: float = Field(60.0, gt=0, le=3600, description="longest wait for the first token")
    token_seconds: float = Field(30.0, gt=0, le=3600, description="longest wait between two tokens")
    answer_seconds: float = Field(600.0, gt=0, le=86_400, description="longest time for a whole answer")
    failure_rate: float = Field(0.5, gt=0, le=1, description="share of failed answers from which it is left alone")
    failure_calls: int = Field(5, ge=1, le=1000, description="answers that must be counted before that")
    window_seconds: float = Field(60.0, gt=0, le=86_400, description="time over which answers are counted")
    slow_seconds: float = Field(
        0.0, ge=0, le=3600, description="95th percentile of the time to the first token that counts as failing; 0: none"
    )
    open_seconds: float = Field(30.0, gt=0, le=86_400, description="time for which it is left alone")
    probes: int = Field(1, ge=1, le=100, description="answers that are tried after that, and must all be good")

    @model_validator(mode="after")
    def _one_place(self) -> Self:
        if self.kind == "transformers":
            if self.socket or self.url:
                raise ValueError("transformers runs in this process: it takes neither socket nor url")
            return self
        if bool(self.socket) == bool(self.url):
            raise ValueError(f"it needs socket or url, {'not both' if self.socket else 'and has neither'}")
        if self.socket and not Path(self.socket).is_absolute():
            raise ValueError("socket must be an absolute path")
        if self.socket and len(os.fsencode(self.socket)) > MAX_SOCKET_PATH:
            raise ValueError(f"socket is longer than the {MAX_SOCKET_PATH} bytes that the kernel takes")
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
        raise ValueError("url must hold no user or password; a key goes into api_key_file")
    if parts.path.rstrip("/") or parts.query or parts.fragment:
        raise ValueError("url must be the server's address alone, without a path such as /v1")
