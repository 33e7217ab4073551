"""The LoRA adapters that are installed, and whether one fits a base model.

Layout: adapters/<id>/adapter.gguf and manifest.json, like models. Rule: an adapter is applied only to a base of its own
architecture whose tensors have the shapes it changes; llama.cpp would otherwise refuse it in the middle of a request.
"""

import datetime
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from models.catalog import ModelSpec, checked_id
from models.errors import InvalidModelFile, ModelExists, UnknownAdapter
from models.gguf_reader import GgufHead, Tensor, read_head
from models.install import (
    Progress,
    id_from_name,
    installer,
    no_progress,
    read_manifest,
)

FILE: Final = "adapter.gguf"
_VERSION: Final = 1
_PARTS: Final = (".lora_a", ".lora_b")


@dataclass(frozen=True, slots=True)
class AdapterRef:
    """An adapter asked for, with the strength it is applied with."""

    id: str
    scale: float = 1.0


@dataclass(frozen=True, slots=True)
class AdapterSpec:
    """One installed adapter. `size` in bytes; `sha256` of the file is its identity."""

    id: str
    path: Path
    size: int
    sha256: str
    architecture: str
    rank: int
    alpha: float
    imported_at: str
    source: str


class AdapterCatalog:
    """The folder of adapters; a snapshot like `Catalog`."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._specs: dict[str, AdapterSpec] = {}
        self.rescan()

    def list(self) -> tuple[AdapterSpec, ...]:
        """All adapters, by id."""
        return tuple(self._specs[key] for key in sorted(self._specs))

    def get(self, adapter_id: str) -> AdapterSpec:
        """Raises UnknownAdapter, naming those that are installed."""
        try:
            return self._specs[adapter_id]
        except KeyError:
            installed = ", ".join(sorted(self._specs)) or "none"
            raise UnknownAdapter(
                f"using the adapter {adapter_id!r}",
                "no adapter of this name is installed",
                f"installed: {installed}; add one with 'docent adapters import FILE.gguf'",
            ) from None

    def rescan(self) -> None:
        """Look at the folder again; what is not a whole adapter is left out."""
        folders = [path.parent for path in self.root.glob("[!.]*/manifest.json")]
        found = [spec for folder in folders if (spec := _spec(folder)) is not None]
        self._specs = {spec.id: spec for spec in found}

    def import_gguf(
        self, source: Path, *, adapter_id: str | None = None, progress: Progress = no_progress
    ) -> AdapterSpec:
        """Copy a GGUF adapter in. Raises InvalidModelFile, ModelExists, ModelBusy, or ModelError for a full disk."""
        chosen = checked_id(adapter_id or id_from_name(source.name))
        what = f"importing {source} as {chosen}"
        _adapter_head(source)
        with installer(self.root, what) as work:
            self.rescan()
            if (self.root / chosen).exists():
                raise ModelExists(what, f"an adapter is installed under the name {chosen}", "choose another with --id")
            work.check_space(what, source.stat().st_size)
            folder = work.prepare()
            try:
                digest = work.copy(source, folder / FILE, progress)
                work.publish(folder, chosen, _manifest(chosen, source, digest, _adapter_head(folder / FILE)))
            except BaseException:
                work.discard(folder)
                raise
        self.rescan()
        return self.get(chosen)

    def remove(self, adapter_id: str) -> None:
        """Delete an installed adapter. Raises UnknownAdapter, ModelBusy, or ModelError if the disk refuses."""
        self.get(adapter_id)
        with installer(self.root, f"removing the adapter {adapter_id}") as work:
            work.remove(adapter_id)
        self.rescan()


def check_fits(adapter: AdapterSpec, base: ModelSpec) -> None:
    """Raises InvalidModelFile if the adapter was not made for such a base. Reads both heads: blocks."""
    what = f"applying the adapter {adapter.id} to the model {base.id}"
    hint = "use an adapter that was trained for this model"
    if adapter.architecture != base.header.architecture:
        why = f"it is for the architecture {adapter.architecture}, the model is {base.header.architecture}"
        raise InvalidModelFile(what, why, hint)
    tensors = {tensor.name: tensor for tensor in read_head(base.path).tensors}
    for name, (low, high) in _pairs(read_head(adapter.path)).items():
        target = tensors.get(name)
        if target is None:
            raise InvalidModelFile(what, f"it changes {name}, which the model does not have", hint)
        if not name.startswith("token_embd") and (low.shape[0], high.shape[-1]) != (target.shape[0], target.shape[1]):
            why = f"it changes {name} as {low.shape[0]}x{high.shape[-1]}, the model's is {target.shape[0]}x{target.shape[1]}"
            raise InvalidModelFile(what, why, hint)


def _pairs(head: GgufHead) -> dict[str, tuple[Tensor, Tensor]]:
    """The two factors for each tensor that the adapter changes. Raises InvalidModelFile if one lacks its other."""
    found: dict[str, dict[str, Tensor]] = {}
    for tensor in head.tensors:
        part = tensor.name[-len(_PARTS[0]) :]
        if part not in _PARTS or len(tensor.shape) != 2:
            raise _invalid(head.path, f"its tensor {tensor.name} is no factor of a LoRA adapter")
        found.setdefault(tensor.name[: -len(part)], {})[part] = tensor
    for name, parts in found.items():
        if len(parts) != len(_PARTS) or parts[_PARTS[0]].shape[1] != parts[_PARTS[1]].shape[0]:
            raise _invalid(head.path, f"the two factors for {name} are not a pair")
    return {name: (parts[_PARTS[0]], parts[_PARTS[1]]) for name, parts in found.items()}


def _adapter_head(path: Path) -> GgufHead:
    """Raises InvalidModelFile if it is not a LoRA adapter."""
    head = read_head(path)
    if head.metadata.get("general.type") != "adapter" or head.metadata.get("adapter.type") != "lora":
        raise _invalid(path, "it is not a LoRA adapter")
    if not isinstance(head.metadata.get("general.architecture"), str):
        raise _invalid(path, "it does not say the architecture of its base model")
    if not _pairs(head):
        raise _invalid(path, "it changes nothing")
    return head


def _invalid(path: Path, why: str) -> InvalidModelFile:
    return InvalidModelFile(f"reading {path}", why, "import a LoRA adapter in GGUF format")


def _manifest(adapter_id: str, source: Path, digest: str, head: GgufHead) -> dict[str, object]:
    alpha = head.metadata.get("adapter.lora.alpha", 0.0)
    return {
        "version": _VERSION,
        "id": adapter_id,
        "file": FILE,
        "size": head.file_bytes,
        "sha256": digest,
        "architecture": head.metadata["general.architecture"],
        "rank": max(low.shape[1] for low, _ in _pairs(head).values()),
        "alpha": float(alpha) if isinstance(alpha, int | float) else 0.0,
        "imported_at": datetime.datetime.now(tz=datetime.UTC).isoformat(timespec="seconds").replace("+00:00", "Z"),
        "source": source.name.encode("utf-8", "backslashreplace").decode(),
    }


def _spec(folder: Path) -> AdapterSpec | None:
    try:
        manifest: dict[str, Any] = read_manifest(folder)
        path = folder / FILE
        if path.stat().st_size != manifest["size"]:
            return None
        return AdapterSpec(
            id=folder.name,
            path=path,
            size=int(manifest["size"]),
            sha256=str(manifest["sha256"]),
            architecture=str(manifest["architecture"]),
            rank=int(manifest["rank"]),
            alpha=float(manifest["alpha"]),
            imported_at=str(manifest["imported_at"]),
            source=str(manifest["source"]),
        )
    except (OSError, ValueError, TypeError, KeyError):
        return None
