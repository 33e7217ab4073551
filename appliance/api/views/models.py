"""Turns installed models, the embedding model and providers into `wire` values. Pure."""

from typing import TYPE_CHECKING, Literal

from appliance import wire
from models.catalog.catalog import ModelSpec, Problem
from models.types import Usage

if TYPE_CHECKING:
    from appliance.embedding.loaded_models import Embedder
    from models.providers.registry import ProviderState
    from models.residency.manager import ModelState


def model_view(state: "ModelState") -> wire.Model:
    """Build an installed GGUF model with its current state."""
    return spec_view(state.spec, state.state, pinned=state.pinned, memory=state.measured, reason=state.reason)


def spec_view(
    spec: ModelSpec,
    state: Literal["installed", "loading", "loaded", "failed"] = "installed",
    *,
    pinned: bool = False,
    memory: int | None = None,
    reason: str | None = None,
) -> wire.Model:
    """Build a GGUF model of the models folder in the given state; `memory` in bytes."""
    return wire.Model(
        id=spec.id,
        kind="gguf",
        state=state,
        architecture=spec.header.architecture,
        size=spec.size,
        context=spec.header.context_length,
        quantisation=spec.header.quantisation,
        licence=spec.licence or None,
        sha256=spec.sha256,
        version=spec.version,
        versions=[one.version for one in spec.versions],
        source=spec.source,
        revision=spec.revision or None,
        pinned=pinned,
        memory=memory,
        reason=reason,
    )


def damaged_view(problem: Problem) -> wire.Model:
    """Build a model of the models folder that cannot be used, with the reason and what is known of it."""
    if problem.spec is not None:
        return spec_view(problem.spec, "failed", reason=problem.why)
    return wire.Model(
        id=problem.id, kind="gguf", state="failed", architecture="?", size=0, sha256="", reason=problem.why
    )


def embedding_view(embedder: "Embedder") -> wire.Model:
    """Build the embedding model in use; it is always loaded."""
    return wire.Model(
        id=embedder.name,
        kind="embedding",
        state="loaded",
        architecture="onnx",
        size=embedder.size,
        licence=embedder.licence or None,
        context=embedder.max_tokens,
        sha256=embedder.identity,
    )


def provider_view(state: "ProviderState") -> wire.Model:
    """Build a configured provider as a model; its server alone knows size and hash."""
    spec = state.spec
    return wire.Model(
        id=spec.id,
        kind="remote",
        state=state.state,
        architecture=spec.kind,
        size=0,
        context=spec.context,
        sha256="",
        source=f"{spec.model} at {spec.place}",
        reason=state.reason,
    )


def usage_view(usage: Usage) -> wire.Usage:
    """Build token counts under OpenAI's names."""
    prompt, completion = usage.prompt_tokens, usage.completion_tokens
    return wire.Usage(
        prompt_tokens=prompt,
        completion_tokens=completion,
        total_tokens=prompt + completion,
        prompt_tokens_details=wire.PromptDetails(cached_tokens=usage.cached_tokens),
    )
