"""The LoRA adapters that a loaded model holds, and which of them are applied."""

import ctypes
import os
from typing import Any

import llama_cpp as llama

from models.engine.failure import DecodeFailed
from models.engine.log import process_log
from models.errors import InvalidModelFile
from models.protocol import AdapterUse, path_bytes


class AdapterShelf:
    """Adapters by the hash of their content."""

    def __init__(self, model: Any, context: Any) -> None:
        self._model = model
        self._context = context
        self._adapters: dict[str, Any] = {}
        self._applied: tuple[tuple[str, float], ...] = ()

    def load(self, use: AdapterUse) -> None:
        """Keep the adapter resident. Raises InvalidModelFile if it does not fit this model."""
        if use.key in self._adapters:
            return
        adapter = llama.llama_adapter_lora_init(self._model, path_bytes(use.path))
        if not adapter:
            raise InvalidModelFile(
                f"applying the adapter {os.fsdecode(path_bytes(use.path))}",
                process_log().reason("llama.cpp refused it"),
                "use an adapter that was trained for this model",
            )
        self._adapters[use.key] = adapter

    def use(self, adapters: tuple[tuple[str, float], ...]) -> None:
        """Apply exactly these (key, scale) to what is decoded from now on."""
        if adapters == self._applied:
            return
        count = len(adapters)
        pointers = (llama.llama_adapter_lora_p_ctypes * max(1, count))(*(self._adapters[key] for key, _ in adapters))
        scales = (ctypes.c_float * max(1, count))(*(scale for _, scale in adapters))
        if llama.llama_set_adapters_lora(self._context, pointers, count, scales) != 0:
            raise DecodeFailed(process_log().reason("the adapters could not be applied"))
        self._applied = adapters
