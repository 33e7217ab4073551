"""The installed models and the configured providers."""

from typing import Literal

from pydantic import Field

from appliance.wire.base import Reply


class Model(Reply):
    """An installed model, or a configured provider (`remote`), which is `failed` while it is paused. Sizes in bytes."""

    id: str
    kind: Literal["gguf", "embedding", "remote"]
    state: Literal["installed", "loading", "loaded", "failed"]
    architecture: str
    size: int
    context: int | None = None
    quantisation: str | None = None
    licence: str | None = None
    sha256: str
    version: str | None = None
    """The version in use."""
    versions: list[str] = Field(default_factory=list)
    """All versions that are kept, newest first."""
    source: str | None = None
    """The file it was imported from, or OWNER/NAME:FILE on the hub it was pulled from, at the commit `revision`."""
    revision: str | None = None
    pinned: bool = False
    memory: int | None = None
    """Bytes that its process owns, while loaded."""
    reason: str | None = None


class ModelList(Reply):
    """The installed models and the configured providers."""

    models: list[Model]
