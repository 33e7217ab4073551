"""Suggests settings of a model that would fit, in words. Pure."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Final

from models.formats.gguf_header import GgufHeader
from models.hardware.ram import RAM
from models.humanize import amount
from models.memory.layer_placement import fitting_layers
from models.memory.need import Need
from models.types import KvType, LoadSettings

NeedOf = Callable[[LoadSettings], Need]

_LEAST_CONTEXT: Final = 512  # chosen by eye
_LEAST_BITS: Final = 2.0  # of a weight; with fewer a model is of little use
_SMALL_BATCH: Final = 128
_SMALLER_KV: Final[Mapping[KvType, tuple[KvType, ...]]] = {
    "f32": ("f16", "q8_0", "q4_0"),
    "f16": ("q8_0", "q4_0"),
    "q8_0": ("q4_0",),
    "q4_0": (),
}


def smaller_settings(
    header: GgufHeader, settings: LoadSettings, limits: Mapping[str, int], need_of: NeedOf
) -> list[str]:
    """What would fit into `limits` (bytes by device): the mildest change of each kind, or several at once if none does.

    `need_of` computes what settings need. Empty if nothing would fit.
    """

    def first(options: Iterable[LoadSettings]) -> str | None:
        for option in options:
            need = need_of(option)
            if _fits(need, limits):
                return f"{_words(settings, option)} needs {_amounts(need)}"
        return None

    kinds = (_contexts(header, settings), _kv_types(settings), _batches(settings), _layers(header, settings, limits))
    alone = [words for kind in kinds if (words := first(kind))]
    found = alone or [words for words in (first(_together(header, settings)),) if words]
    quantised = _quantisation(header, need_of(settings), limits)
    return [*found, *([quantised] if quantised else [])]


def _contexts(header: GgufHeader, settings: LoadSettings) -> Iterator[LoadSettings]:
    """The context halved again and again, and the cells that all requests share along with it."""
    context = min(settings.context, header.context_length)
    cells = settings.cells
    while context // 2 >= _LEAST_CONTEXT:
        context //= 2
        cells = None if cells is None else max(context, cells // 2)
        yield settings.model_copy(update={"context": context, "cells": cells})


def _kv_types(settings: LoadSettings) -> Iterator[LoadSettings]:
    return (settings.model_copy(update={"kv_type": kind}) for kind in _SMALLER_KV[settings.kv_type])


def _batches(settings: LoadSettings) -> Iterator[LoadSettings]:
    if settings.batch > _SMALL_BATCH:
        yield settings.model_copy(update={"batch": _SMALL_BATCH})


def _layers(header: GgufHeader, settings: LoadSettings, limits: Mapping[str, int]) -> Iterator[LoadSettings]:
    if settings.gpu_layers:
        fewer = min(fitting_layers(header, settings, limits), settings.gpu_layers - 1)
        yield settings.model_copy(update={"gpu_layers": fewer})


def _together(header: GgufHeader, settings: LoadSettings) -> Iterator[LoadSettings]:
    lean = settings.model_copy(update={"batch": min(settings.batch, _SMALL_BATCH)})
    for kind in _SMALLER_KV[settings.kv_type] or (settings.kv_type,):
        for option in _contexts(header, lean):
            yield option.model_copy(update={"kv_type": kind})


def _quantisation(header: GgufHeader, need: Need, limits: Mapping[str, int]) -> str | None:
    """How small the weights would have to be, with everything else unchanged."""
    weights = need.of("weights") + need.of("mapped")
    over = sum(max(0, size - limits.get(device, 0)) for device, size in need.devices.items())
    room = weights - over
    if not over or room * 8 < header.parameters * _LEAST_BITS or set(need.devices) != {RAM}:
        return None
    size = room * header.weight_bytes // max(weights, 1)
    return f"a smaller quantisation of at most {amount(size)} ({size * 8 / header.parameters:.1f} bits a weight) fits"


def _fits(need: Need, limits: Mapping[str, int]) -> bool:
    return all(size <= limits.get(device, 0) for device, size in need.devices.items())


def _words(before: LoadSettings, after: LoadSettings) -> str:
    names = {"context": "context", "kv_type": "kv_type", "batch": "batch", "gpu_layers": "gpu_layers"}
    changed = [
        f"{name} {getattr(after, key)}" for key, name in names.items() if getattr(after, key) != getattr(before, key)
    ]
    return " with ".join(changed)


def _amounts(need: Need) -> str:
    sizes = [amount(size) + ("" if device == RAM else f" on {device}") for device, size in need.devices.items()]
    return " and ".join(sizes)
