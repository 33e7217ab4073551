"""One loaded model with one context of several sequences.

Rule: knows nothing of requests. `scheduling.batcher` decides what to decode, `scheduling.sequences` which sequence holds
what. Used by the child's main thread only.
"""

import ctypes
import os
from collections.abc import Sequence
from typing import Final

import llama_cpp as llama
import numpy as np
from numpy.typing import NDArray

from models.child_process.messages import path_bytes
from models.types import LoadSettings, Sampling
from models.worker.engine.batch import Batch, BatchSpan
from models.worker.engine.errors import DecodeFailed, NoRoom
from models.worker.engine.loading import is_rigid, load_model, make_context
from models.worker.engine.log import process_log
from models.worker.engine.lora_adapters import LoraAdapters
from models.worker.engine.sampler import Choice, Sampler
from models.worker.engine.vocabulary import Vocabulary
from models.worker.grammar import Guide

_NO_CELLS: Final = 1  # llama_decode's status when too few cells are free

State = NDArray[np.uint8]
"""A sequence's KV as llama.cpp writes it."""


class Engine:
    """A loaded model. `context` is the most tokens of one sequence, `cells` the number that all sequences share.

    Of all `sequences`, `parallel` may run at once. A batch can have at most `outputs` wanted tokens.
    """

    def __init__(self, path: str, settings: LoadSettings) -> None:
        """Raises ModelLoadFailed with llama.cpp's own message."""
        what = f"loading {os.fsdecode(path_bytes(path))}"
        self._log = process_log()
        llama.llama_backend_init()
        self._model = load_model(what, path, settings)
        self.vocabulary = Vocabulary(self._model)
        trained = int(llama.llama_model_n_ctx_train(self._model)) or settings.context
        self.context = min(settings.context, trained)
        self.extensible = settings.context < trained
        """Whether a larger context can be configured: the model was trained for one."""
        self._context = make_context(what, self._model, settings)
        self.cells = int(llama.llama_n_ctx(self._context))
        self.batch = int(llama.llama_n_batch(self._context))
        self.parallel = settings.parallel
        self.sequences = int(llama.llama_n_seq_max(self._context))
        self.outputs = settings.outputs
        self.cache_bytes = settings.cache_bytes
        self.rigid = is_rigid(self._model)
        """Whether the KV can be neither shared nor cut at an arbitrary position."""
        self.revocable = not (llama.llama_model_is_recurrent(self._model) or llama.llama_model_is_hybrid(self._model))
        """Whether the last decoded tokens can be removed again."""
        self._memory = llama.llama_get_memory(self._context)
        self.adapters = LoraAdapters(self._model, self._context)
        self._batch = Batch(self.batch, self.sequences)
        self._warm_up()

    def _warm_up(self) -> None:
        """Touches weights and compute buffers, so that memory can be measured and the first answer is fast."""
        token = max(0, int(llama.llama_vocab_bos(self.vocabulary.pointer)))
        llama.llama_set_warmup(self._context, True)
        self.decode([BatchSpan([token], 0, 0, wanted=1)])
        llama.llama_memory_clear(self._memory, True)
        llama.llama_set_warmup(self._context, False)

    def decode(self, spans: Sequence[BatchSpan]) -> None:
        """Decodes up to `batch` tokens; then `sample` may be called for the wanted ones.

        Raises NoRoom if too few cells are free (nothing was decoded), DecodeFailed if the context cannot be used again.
        """
        self._batch.fill(spans)
        status = int(llama.llama_decode(self._context, self._batch.raw))
        if status == _NO_CELLS:
            raise NoRoom(f"no cells for {self._batch.raw.n_tokens} tokens")
        if status != 0:
            raise DecodeFailed(
                self._log.reason(f"llama_decode returned {status} for {self._batch.raw.n_tokens} tokens")
            )

    def close(self) -> None:
        """Frees model and context. Only for tests and benchmarks: a child process simply ends."""
        self.adapters.close()
        llama.llama_free(self._context)
        llama.llama_model_free(self._model)

    # -- sequences ------------------------------------------------------------------------------------------------

    def share(self, source: int, target: int, start: int, end: int) -> None:
        """Makes `target` hold the cells of `source` at positions `start` to `end - 1` too. Copies nothing."""
        llama.llama_memory_seq_cp(self._memory, source, target, start, end)

    def cut(self, sequence: int, length: int) -> bool:
        """Keeps only the first `length` tokens; False if this model's memory cannot be cut there."""
        return bool(llama.llama_memory_seq_rm(self._memory, sequence, length, -1))

    def forget(self, sequence: int) -> None:
        """Releases all cells of the sequence."""
        llama.llama_memory_seq_rm(self._memory, sequence, -1, -1)

    def save(self, sequence: int) -> State:
        """Copies the KV of a sequence, for `restore`."""
        state = np.empty(int(llama.llama_state_seq_get_size(self._context, sequence)), np.uint8)
        written = int(llama.llama_state_seq_get_data(self._context, _bytes_of(state), state.nbytes, sequence))
        return state[:written]

    def restore(self, sequence: int, state: State) -> bool:
        """Replaces the sequence by a saved one. After False the caller must `forget` it."""
        return bool(llama.llama_state_seq_set_data(self._context, _bytes_of(state), state.nbytes, sequence))

    # -- tokens ---------------------------------------------------------------------------------------------------

    def use_adapters(self, adapters: tuple[tuple[str, float], ...]) -> None:
        """Applies exactly these (key, scale) to every later `decode`."""
        self.adapters.use(adapters)

    def sampler(
        self,
        sampling: Sampling,
        *,
        prompt: Sequence[int] = (),
        guide: Guide | None = None,
        logprobs: int | None = None,
    ) -> Sampler:
        """Makes the sampler of one request. Raises InvalidPrompt for a bias on an unknown token."""
        return Sampler.make(self._context, self.vocabulary, sampling, prompt=prompt, guide=guide, logprobs=logprobs)

    def sample(self, sampler: Sampler, index: int) -> Choice:
        """Chooses the token after entry `index` of the last decoded batch."""
        return sampler.choose(index)

    def logits(self, index: int) -> NDArray[np.float32]:
        """Every token's score after entry `index` of the last decoded batch. The next `decode` overwrites it."""
        return np.ctypeslib.as_array(llama.llama_get_logits_ith(self._context, index), (self.vocabulary.size,))

    def piece(self, token: int) -> bytes:
        """The bytes of a token; empty for control tokens."""
        return self.vocabulary.piece(token)

    def is_end(self, token: int) -> bool:
        """Whether the token ends an answer."""
        return self.vocabulary.is_end(token)


def _bytes_of(state: State) -> "ctypes._Pointer[ctypes.c_uint8]":
    return state.ctypes.data_as(ctypes.POINTER(ctypes.c_uint8))
