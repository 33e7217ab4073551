"""All settings, one frozen section per part.

Sections and keys are the fields below, so the file, the environment and the documentation cannot diverge.
"""

import re
from typing import Annotated, Final, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field

from appliance.config.model_settings import FlashAttention, KvType, ModelNames, OwnModelSettings
from appliance.config.provider_settings import FallbackNames, Name, ProviderSettings, names

_LANGUAGE = re.compile(r"[A-Za-z_]{1,40}(?:/[A-Za-z_]{1,40})?")


def _language(name: str) -> str:
    if not _LANGUAGE.fullmatch(name):
        raise ValueError('use the language\'s name in Tesseract, such as "eng", "deu" or "chi_sim"')
    return name


OcrMode = Literal["auto", "off"]
OcrLanguages = Annotated[
    tuple[Annotated[str, AfterValidator(_language)], ...], BeforeValidator(names), Field(min_length=1, max_length=16)
]
"""The likeliest first."""


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class LibrarySettings(_Section):
    """The watched folder."""

    settle_seconds: float = Field(2.0, ge=0.1, le=3600, description="quiet time before a file counts as complete")
    rescan_seconds: float = Field(300.0, ge=1, le=86_400, description="time between full scans of the folder")
    max_upload_bytes: int = Field(4 << 30, ge=1, description="largest file accepted by `add` and POST /documents")


class IngestSettings(_Section):
    """Reading documents."""

    page_seconds: float = Field(60.0, gt=0, description="most processor time for reading one page")
    document_seconds: float = Field(7200.0, gt=0, description="most processor time for reading one document")
    parser_memory_bytes: int = Field(2 << 30, ge=256 << 20, description="memory limit of the parser process")
    ocr: OcrMode = Field("auto", description="auto: recognise the text of pages without any; off: skip such pages")
    ocr_languages: OcrLanguages = Field(("eng",), description="languages of scanned pages, as Tesseract names them")
    ocr_page_seconds: float = Field(60.0, gt=0, description="most processor time for recognising one page")
    ocr_memory_bytes: int = Field(1 << 30, ge=256 << 20, description="memory limit of the text recognition process")
    chunk_tokens: int = Field(200, ge=32, le=2048, description="target length of a passage in tokens")
    batch_chunks: int = Field(48, ge=1, le=1024, description="passages written in one transaction")


class EmbeddingSettings(_Section):
    """The embedding model."""

    model: str = Field("", description="folder of an ONNX embedding model with manifest.json; empty: the built-in one")
    threads: int = Field(0, ge=0, le=256, description="texts embedded at the same time; 0: one per core")


class ModelSettings(_Section):
    """GGUF models."""

    default: str = Field(
        "", description="model that answers when none is named; empty: the only one installed, else extractive"
    )
    context: int = Field(8192, ge=256, le=1 << 20, description="context in tokens, at most the model's own")
    kv_type: KvType = Field("f16", description="type of the KV cache: f32, f16, q8_0 or q4_0")
    flash_attention: FlashAttention = Field(
        True, description="faster with parallel requests; off: rounding depends less on them"
    )
    threads: int = Field(0, ge=0, le=256, description="threads of a model's process; 0: one per core")
    batch: int = Field(128, ge=16, le=8192, description="prompt tokens processed in one step")
    gpu_layers: int = Field(-1, ge=-1, le=10_000, description="layers on the GPU; -1: as many as fit")
    parallel: int = Field(4, ge=1, le=64, description="requests that one model answers at the same time")
    queue: int = Field(64, ge=1, le=4096, description="most requests that wait for a model; further ones are refused")
    wait_seconds: float = Field(120.0, gt=0, description="longest wait for a model to load or become free")
    idle_seconds: float = Field(1800.0, ge=0, description="a model idle for this long is unloaded; 0: never")
    load_seconds: float = Field(300.0, gt=0, description="longest time a model may take to load")
    stall_seconds: float = Field(60.0, ge=1, description="a model's process that does nothing for this long is ended")
    memory_bytes: int = Field(
        0, ge=0, description="memory budget of all models; 0: 80 % of the memory the service may use"
    )
    cache_bytes: int = Field(
        256 << 20,
        ge=0,
        description="memory of each model for caching earlier prompts, at most 5 % of the budget; 0: none",
    )
    preload: ModelNames = Field((), description="models loaded at startup, as pinned ones are")


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
        (), description="providers and models to try, in this order, if the one asked for cannot begin to answer"
    )


class ServiceSettings(_Section):
    """The socket and the process."""

    max_clients: int = Field(256, ge=1, description="most open connections; further ones are refused")
    log_level: str = Field("info", pattern="^(debug|info|warning|error)$", description="debug, info, warning or error")


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
"""The sections that occur once."""
NAMED_TABLES: Final[dict[str, type[BaseModel]]] = {"providers": ProviderSettings, "model": OwnModelSettings}
"""The tables that may occur many times, `[providers.NAME]` and `[model.ID]`; only in the file."""
