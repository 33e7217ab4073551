"""TOML and environment -> one frozen `Settings`; every error names file, key, value and hint.

Where things live: under systemd `$STATE_DIRECTORY`, `$RUNTIME_DIRECTORY` and `/etc/docent/docent.toml`; else everything
in `$DOCENT_HOME`; else the XDG folders. A setting comes from `DOCENT_<SECTION>_<KEY>` if set, else from the file, else
from the default here. Sections and keys are the fields below, so the file, the environment and the docs cannot diverge.
"""

import difflib
import os
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from appliance.errors import ConfigError
from appliance.ocr_settings import OcrLanguages, OcrMode
from appliance.own_settings import FlashAttention, KvType, ModelNames, OwnModelSettings
from appliance.provider_settings import FallbackNames, Name, ProviderSettings

SYSTEM_STATE = Path("/var/lib/docent")
SYSTEM_RUNTIME = Path("/run/docent")
SYSTEM_CONFIG = Path("/etc/docent/docent.toml")
_ENVIRONMENT_PREFIX = "DOCENT_"
_RESERVED_ENVIRONMENT = {"DOCENT_HOME", "DOCENT_CONFIG", "DOCENT_SOCKET", "DOCENT_PYTHON"}


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class LibrarySettings(_Section):
    """The watched folder."""

    settle_seconds: float = Field(2.0, ge=0.1, le=3600, description="quiet time before a file counts as complete")
    rescan_seconds: float = Field(300.0, ge=1, le=86_400, description="time between full scans of the folder")
    max_upload_bytes: int = Field(4 << 30, ge=1, description="largest file accepted by `add` and POST /documents")


class IngestSettings(_Section):
    """Reading documents."""

    page_seconds: float = Field(60.0, gt=0, description="processor time for reading one page")
    document_seconds: float = Field(7200.0, gt=0, description="processor time for reading one document")
    parser_memory_bytes: int = Field(2 << 30, ge=256 << 20, description="memory limit of the parser's process")
    ocr: OcrMode = Field(
        "auto", description="auto: words of pages without text are recognised; off: such pages are skipped"
    )
    ocr_languages: OcrLanguages = Field(("eng",), description="languages of scanned pages, as Tesseract names them")
    ocr_page_seconds: float = Field(60.0, gt=0, description="processor time for recognising one page")
    ocr_memory_bytes: int = Field(1 << 30, ge=256 << 20, description="memory limit of text recognition's process")
    chunk_tokens: int = Field(200, ge=32, le=2048, description="target length of a passage in tokens")
    batch_chunks: int = Field(48, ge=1, le=1024, description="passages written in one transaction")


class EmbeddingSettings(_Section):
    """The embedding model."""

    model: str = Field("", description="folder of an ONNX embedding model with manifest.json; empty: the built-in one")
    threads: int = Field(0, ge=0, le=256, description="texts embedded at the same time; 0: one per core")


class ModelSettings(_Section):
    """GGUF models."""

    default: str = Field("", description="model that answers when none is named; empty: the only one, else extractive")
    context: int = Field(8192, ge=256, le=1 << 20, description="context in tokens, at most the model's own")
    kv_type: KvType = Field("f16", description="type of the KV cache: f32, f16, q8_0 or q4_0")
    flash_attention: FlashAttention = Field(
        True, description="faster beside other requests; off: rounding depends less on them"
    )
    threads: int = Field(0, ge=0, le=256, description="threads of a model's process; 0: one per core")
    batch: int = Field(128, ge=16, le=8192, description="tokens of prompts read in one step")
    gpu_layers: int = Field(-1, ge=-1, le=10_000, description="layers on the GPU; -1: as many as fit")
    parallel: int = Field(4, ge=1, le=64, description="requests that one model answers at the same time")
    queue: int = Field(64, ge=1, le=4096, description="requests that wait for a model before further ones are refused")
    wait_seconds: float = Field(120.0, gt=0, description="longest wait for a model to load or come free")
    idle_seconds: float = Field(1800.0, ge=0, description="a model idle for this long is unloaded; 0: never")
    load_seconds: float = Field(300.0, gt=0, description="longest time for loading a model")
    stall_seconds: float = Field(60.0, ge=1, description="a model's process that does nothing for this long is ended")
    memory_bytes: int = Field(0, ge=0, description="memory budget of all models; 0: 80 % of what the machine gives")
    cache_bytes: int = Field(
        256 << 20, ge=0, description="memory of each model for earlier prompts, at most 5 % of the budget; 0: none"
    )
    preload: ModelNames = Field((), description="models loaded at the start, as pinned ones are")


class HubSettings(_Section):
    """Where `docent models pull` fetches models; the service itself never does."""

    endpoint: str = Field("", description="address of a mirror; empty: HF_ENDPOINT, else https://huggingface.co")
    token_file: str = Field("", description="file with an access token; empty: HF_TOKEN_PATH, else none is sent")


class AnswerSettings(_Section):
    """Answers."""

    passages: int = Field(8, ge=1, le=64, description="passages given to the model")
    max_tokens: int = Field(512, ge=1, description="longest generated answer in tokens")
    temperature: float = Field(0.0, ge=0, le=2, description="sampling temperature of cited answers")
    fallback: FallbackNames = Field(
        (), description="providers and models that answer, in this order, where the one asked cannot begin"
    )


class ServiceSettings(_Section):
    """The socket and the process."""

    max_clients: int = Field(256, ge=1, description="open connections before further ones are refused")
    log_level: str = Field("info", pattern="^(debug|info|warning|error)$", description="debug, info, warning or error")


@dataclass(frozen=True, slots=True)
class Places:
    """Where everything lives."""

    home: Path
    socket: Path
    config: Path

    @property
    def library(self) -> Path:
        """The watched folder."""
        return self.home / "library"

    @property
    def models(self) -> Path:
        """Installed GGUF models."""
        return self.home / "models"

    @property
    def adapters(self) -> Path:
        """Installed LoRA adapters."""
        return self.home / "adapters"

    @property
    def database(self) -> Path:
        """The index."""
        return self.home / "docent.db"

    @property
    def lock(self) -> Path:
        """Held by the one service that owns this home."""
        return self.home / "docent.lock"


class Settings(_Section):
    """All settings; one section per part."""

    library: LibrarySettings = LibrarySettings()
    ingest: IngestSettings = IngestSettings()
    embedding: EmbeddingSettings = EmbeddingSettings()
    models: ModelSettings = ModelSettings()
    hub: HubSettings = HubSettings()
    answer: AnswerSettings = AnswerSettings()
    service: ServiceSettings = ServiceSettings()
    providers: dict[Name, ProviderSettings] = Field(default_factory=dict)
    model: dict[Name, OwnModelSettings] = Field(default_factory=dict)


SECTIONS: Final[dict[str, type[BaseModel]]] = {
    name: type(field.default) for name, field in Settings.model_fields.items() if isinstance(field.default, BaseModel)
}
"""The sections that there are once."""
NAMED_TABLES: Final[dict[str, type[BaseModel]]] = {"providers": ProviderSettings, "model": OwnModelSettings}
"""Those that there may be many of: `[providers.NAME]`, `[model.ID]`; in the file alone."""


def find_places(environment: Mapping[str, str] = os.environ) -> Places:
    """Where this process's Docent lives.

    A client that has neither `DOCENT_HOME` nor a home of its own with a socket talks to the system's service.
    """
    if state := environment.get("STATE_DIRECTORY"):
        runtime = Path(environment.get("RUNTIME_DIRECTORY") or SYSTEM_RUNTIME)
        places = Places(Path(state), runtime / "docent.sock", SYSTEM_CONFIG)
    elif home := environment.get("DOCENT_HOME"):
        root = Path(home).absolute()
        places = Places(root, root / "docent.sock", root / "docent.toml")
    else:
        places = _user_places(environment)
    return Places(
        places.home,
        Path(environment.get("DOCENT_SOCKET") or places.socket),
        Path(environment.get("DOCENT_CONFIG") or places.config),
    )


def _user_places(environment: Mapping[str, str]) -> Places:
    user_home = Path(environment.get("HOME") or "~").expanduser()
    data = Path(environment.get("XDG_DATA_HOME") or user_home / ".local/share") / "docent"
    config = Path(environment.get("XDG_CONFIG_HOME") or user_home / ".config") / "docent" / "docent.toml"
    runtime = environment.get("XDG_RUNTIME_DIR")
    socket = (Path(runtime) / "docent" if runtime else data) / "docent.sock"
    if not socket.exists() and not data.exists() and SYSTEM_STATE.exists():
        return Places(SYSTEM_STATE, SYSTEM_RUNTIME / "docent.sock", SYSTEM_CONFIG)
    return Places(data, socket, config)


def load(places: Places, environment: Mapping[str, str] = os.environ) -> Settings:
    """Settings from file and environment.

    Raises:
        ConfigError: the file cannot be read, or a key is unknown or out of range; every offence is listed.
    """
    values = _from_file(places.config)
    known, unknown = _from_environment(environment)
    for section, key, value in known:
        if isinstance(table := values.setdefault(section, {}), dict):  # else the validation below names it
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
        raise ConfigError(f"reading {path}", f"not valid TOML: {error}", "mend the line named") from None
    except UnicodeDecodeError as error:
        raise ConfigError(f"reading {path}", f"not UTF-8: {error}", "save the file as UTF-8") from None
    except OSError as error:
        raise ConfigError(
            f"reading {path}", error.strerror or str(error), "make the file readable for the service"
        ) from None


def _from_environment(environment: Mapping[str, str]) -> tuple[list[tuple[str, str, str]], list[str]]:
    """Section, key and value of every variable that sets one, and an offence for each that sets nothing."""
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
            unknown.append(f"{name}: providers are configured in the file alone, as [providers.NAME]")
        elif name.startswith(_ENVIRONMENT_PREFIX) and name not in _RESERVED_ENVIRONMENT:
            near = difflib.get_close_matches(name, [*names, *_RESERVED_ENVIRONMENT], n=1, cutoff=0.75)
            unknown.append(f"{name}: unknown variable{f' (did you mean {near[0]}?)' if near else ''}")
    return known, unknown


def _offences(error: ValidationError) -> list[str]:
    offences = []
    for item in error.errors():
        key = ".".join(str(part) for part in item["loc"])
        told = item["type"] in ("missing", "extra_forbidden") or isinstance(item["input"], dict)
        value = "" if told else f" = {item['input']!r}"
        message = _MESSAGES.get(item["type"]) or item["msg"].removeprefix("Value error, ")
        offences.append(f"{key.removesuffix('.[key]')}{value}: {message}")
    return offences


_MESSAGES = {"extra_forbidden": "unknown key", "missing": "this key is needed"}


def _wrong(path: Path, offences: list[str]) -> ConfigError:
    return ConfigError(
        f"reading {path} and the DOCENT_ environment variables",
        "; ".join(offences),
        "`docent config show` lists every key with its default and meaning",
    )
