"""The LoRA adapters loaded with a model, and the ones applied now."""

import ctypes
import os
from collections.abc import Collection, Iterable
from typing import Any

import llama_cpp as llama

from models.child_process.messages import AdapterUse, path_bytes
from models.errors import InvalidModelFile
from models.worker.engine.errors import DecodeFailed
from models.worker.engine.log import process_log


class LoraAdapters:
    """Loaded adapters, by the hash of their content."""

    def __init__(self, model: Any, context: Any) -> None:
        self._model = model
        self._context = context
        self._adapters: dict[str, Any] = {}
        self._sizes: dict[str, int] = {}
        self._applied: tuple[tuple[str, float], ...] = ()
        self._unwanted: set[str] = set()

    @property
    def held(self) -> int:
        """Bytes of all loaded adapters: their file sizes, since the tensors are copied as they are in the file."""
        return sum(self._sizes.values())

    def load(self, use: AdapterUse) -> None:
        """Loads the adapter unless it is loaded. Raises InvalidModelFile if it does not fit this model."""
        self._unwanted.discard(use.key)
        if use.key in self._adapters:
            return
        path = path_bytes(use.path)
        what = f"applying the adapter {os.fsdecode(path)}"
        try:
            size = os.stat(path).st_size  # first, since the file may be removed at any time
        except OSError as error:
            raise InvalidModelFile(what, error.strerror or str(error), "import it again") from error
        adapter = llama.llama_adapter_lora_init(self._model, path)
        if not adapter:
            raise InvalidModelFile(
                what,
                process_log().reason("llama.cpp refused it"),
                "use an adapter that was trained for this model",
            )
        self._adapters[use.key] = adapter
        self._sizes[use.key] = size

    def use(self, adapters: tuple[tuple[str, float], ...]) -> None:
        """Applies exactly these (key, scale) to every later decode; none if empty."""
        if adapters == self._applied:
            return
        count = len(adapters)
        pointers = (llama.llama_adapter_lora_p_ctypes * max(1, count))(*(self._adapters[key] for key, _ in adapters))
        scales = (ctypes.c_float * max(1, count))(*(scale for _, scale in adapters))
        if llama.llama_set_adapters_lora(self._context, pointers, count, scales) != 0:
            raise DecodeFailed(process_log().reason("the adapters could not be applied"))
        self._applied = adapters

    def drop(self, keys: Iterable[str], needed: Collection[str]) -> None:
        """Frees these adapters. Those that are `needed` now are freed by a later call, once they are not."""
        self._unwanted.update(key for key in keys if key in self._adapters)
        unused = self._unwanted.difference(needed) if self._unwanted else None
        if not unused:
            return
        if any(key in unused for key, _ in self._applied):
            self.use(())
        for key in unused:
            llama.llama_adapter_lora_free(self._adapters.pop(key))
            del self._sizes[key]
        self._unwanted -= unused

    def close(self) -> None:
        """Frees all adapters."""
        self.drop(list(self._adapters), ())
