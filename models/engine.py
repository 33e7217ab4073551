"""llama.cpp, through its low-level API: one model, one context with several sequences, samplers and adapters.

The only importer of llama_cpp, and only imported inside a model's child process. It knows nothing of requests: what to
decode is decided in `batching`. All of it belongs to the child's main thread.

Rule: the bindings return a NULL pointer object on failure, not None; so `if not pointer`, never `is None`.
"""

import ctypes
import itertools
import os
import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from typing import Any, Final

import llama_cpp as llama
import numpy as np

from models.errors import InvalidModelFile, ModelLoadFailed
from models.guard import control_pattern
from models.protocol import AdapterUse, LoadSettings, Sampling, path_bytes

_KV_TYPES: Final = {
    "f32": llama.GGML_TYPE_F32,
    "f16": llama.GGML_TYPE_F16,
    "q8_0": llama.GGML_TYPE_Q8_0,
    "q4_0": llama.GGML_TYPE_Q4_0,
}
_LEVEL_ERROR: Final = 4  # ggml_log_level; 5 continues the line before
_LEVEL_CONTINUED: Final = 5
_CONTROL: Final = llama.LLAMA_TOKEN_ATTR_CONTROL | llama.LLAMA_TOKEN_ATTR_UNKNOWN
_SMALLER: Final = "give it a smaller context or another kv_type in the configuration, or import a smaller model"


class DecodeFailed(Exception):
    """llama.cpp could not decode a batch; the context is in an unknown state and the process must end."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One token to decode: where it stands in which sequence, and whether the next token is wanted after it."""

    token: int
    position: int
    sequence: int
    wanted: bool


class Sampler:
    """A chain of llama.cpp's samplers for one request; without a chain the likeliest token is taken."""

    def __init__(self, chain: Any) -> None:
        self.chain = chain

    def close(self) -> None:
        if self.chain is not None:
            llama.llama_sampler_free(self.chain)
            self.chain = None


class Engine:
    """A loaded model. `context` is the most tokens of one sequence, `cells` what all sequences share."""

    def __init__(self, path: str, settings: LoadSettings) -> None:
        """Raises ModelLoadFailed with llama.cpp's own words."""
        self._what = f"loading {os.fsdecode(path_bytes(path))}"
        self._log = _process_log()
        llama.llama_backend_init()
        self._model = self._load_model(path, settings)
        self._vocab = llama.llama_model_get_vocab(self._model)
        self._vocabulary_size = int(llama.llama_vocab_n_tokens(self._vocab))
        trained = int(llama.llama_model_n_ctx_train(self._model)) or settings.context
        self.context = min(settings.context, trained)
        self.extensible = settings.context < trained
        """Whether the configuration, not the model, limits the context."""
        self._context = self._make_context(settings)
        self.cells = int(llama.llama_n_ctx(self._context))
        self.batch = settings.batch
        self.parallel = settings.parallel
        self._memory = llama.llama_get_memory(self._context)
        self._pieces: dict[int, bytes] = {}
        self._adapters: dict[str, Any] = {}
        self._applied: tuple[tuple[str, float], ...] = ()
        self._batch = _Batch(settings.batch, settings.parallel)
        self._warm_up()

    # -- loading ------------------------------------------------------------------------------------------------------

    def _load_model(self, path: str, settings: LoadSettings) -> Any:
        params = llama.llama_model_default_params()
        params.n_gpu_layers = settings.gpu_layers
        model = llama.llama_model_load_from_file(path_bytes(path), params)
        if not model:
            raise ModelLoadFailed(
                self._what, self._log.reason("llama.cpp refused it"), "check the file with 'docent models verify'"
            )
        if llama.llama_model_has_encoder(model) or not llama.llama_model_has_decoder(model):
            raise ModelLoadFailed(self._what, "it is not a model that continues text", "import a chat model instead")
        return model

    def _make_context(self, settings: LoadSettings) -> Any:
        params = llama.llama_context_default_params()
        params.n_ctx = max(self.context, settings.cells or 0)
        params.n_batch = params.n_ubatch = settings.batch
        params.n_seq_max = settings.parallel
        # Without it the buffer for the logits is as large as the batch times the vocabulary: 300 MB instead of 3.
        params.n_outputs_max = settings.parallel
        params.n_threads = params.n_threads_batch = settings.threads
        params.type_k = params.type_v = _KV_TYPES[settings.kv_type]
        params.kv_unified = True  # all sequences share the cells, so that one long request may use all of them
        params.swa_full = False
        context = llama.llama_init_from_model(self._model, params)
        if not context:
            raise ModelLoadFailed(self._what, self._log.reason("its context could not be allocated"), _SMALLER)
        return context

    def _warm_up(self) -> None:
        """Touches the weights and the compute buffers, so that memory can be measured and the first answer is fast."""
        token = max(0, int(llama.llama_vocab_bos(self._vocab)))
        llama.llama_set_warmup(self._context, True)
        self.decode([Entry(token, 0, 0, wanted=True)])
        llama.llama_memory_clear(self._memory, True)
        llama.llama_set_warmup(self._context, False)

    # -- vocabulary ---------------------------------------------------------------------------------------------------

    @cached_property
    def chat_template(self) -> str | None:
        """The template in the file, None if it has none."""
        source = llama.llama_model_chat_template(self._model, None)
        return source.decode("utf-8", "replace") if source else None

    @cached_property
    def adds_bos(self) -> bool:
        """Whether `tokenize` with `bos` begins with the begin token."""
        return bool(llama.llama_vocab_get_add_bos(self._vocab))

    @cached_property
    def bos_text(self) -> str:
        return self._text_of(llama.llama_vocab_bos(self._vocab))

    @cached_property
    def eos_text(self) -> str:
        return self._text_of(llama.llama_vocab_eos(self._vocab))

    @cached_property
    def control(self) -> re.Pattern[str] | None:
        """Finds what the tokenizer would read as a control token."""
        return control_pattern(
            self._text_of(token)
            for token in range(self._vocabulary_size)
            if llama.llama_vocab_get_attr(self._vocab, token) & _CONTROL
        )

    def tokenize(self, text: str, *, special: bool, bos: bool) -> list[int]:
        """Token ids. `special`: control tokens are read in it. `bos`: begin with the model's begin token, if any."""
        data = text.encode("utf-8", "replace")
        size = len(data) + 16
        for _ in range(2):
            tokens = (llama.llama_token * size)()
            count = int(llama.llama_tokenize(self._vocab, data, len(data), tokens, size, bos, special))
            if count >= 0:
                return self._without_end(tokens[:count]) if bos else tokens[:count]
            size = -count
        raise DecodeFailed(f"the tokenizer gave no answer for a text of {len(data)} bytes")

    def piece(self, token: int) -> bytes:
        """The bytes a token stands for; control tokens stand for none."""
        known = self._pieces.get(token)
        if known is None:
            known = self._pieces[token] = self._read_piece(token)
        return known

    def is_end(self, token: int) -> bool:
        """Whether the model ends its answer with this token."""
        return bool(llama.llama_vocab_is_eog(self._vocab, token))

    def _read_piece(self, token: int) -> bytes:
        size = 64
        while True:
            buffer = ctypes.create_string_buffer(size)
            count = int(llama.llama_token_to_piece(self._vocab, token, buffer, size, 0, False))
            if count >= 0:
                return buffer.raw[:count]
            size = -count

    def _text_of(self, token: int) -> str:
        text = llama.llama_vocab_get_text(self._vocab, token) if token >= 0 else None
        return text.decode("utf-8", "replace") if text else ""

    def _without_end(self, tokens: list[int]) -> list[int]:
        # Some vocabularies ask for an end token too, which would end the prompt before the answer.
        closing = llama.llama_vocab_get_add_eos(self._vocab) and tokens and self.is_end(tokens[-1])
        return tokens[:-1] if closing else tokens

    # -- decoding -----------------------------------------------------------------------------------------------------

    def decode(self, entries: Sequence[Entry]) -> None:
        """Decode up to `batch` tokens; afterwards `sample` may be called for the wanted ones. Raises DecodeFailed."""
        self._batch.fill(entries)
        status = int(llama.llama_decode(self._context, self._batch.raw))
        if status != 0:
            raise DecodeFailed(self._log.reason(f"llama_decode gave {status} for {len(entries)} tokens"))

    def forget(self, sequence: int) -> None:
        """Free the sequence's cells."""
        llama.llama_memory_seq_rm(self._memory, sequence, -1, -1)

    def sampler(self, sampling: Sampling) -> Sampler:
        """A chain in llama.cpp's usual order: top-k, top-p, min-p, temperature, draw."""
        if sampling.temperature <= 0:
            return Sampler(None)
        chain = llama.llama_sampler_chain_init(llama.llama_sampler_chain_default_params())
        seed = int.from_bytes(os.urandom(4), "big") if sampling.seed is None else sampling.seed
        for step in (
            llama.llama_sampler_init_top_k(sampling.top_k),
            llama.llama_sampler_init_top_p(sampling.top_p, 1),
            llama.llama_sampler_init_min_p(sampling.min_p, 1),
            llama.llama_sampler_init_temp(sampling.temperature),
            llama.llama_sampler_init_dist(seed),
        ):
            llama.llama_sampler_chain_add(chain, step)
        return Sampler(chain)

    def sample(self, sampler: Sampler, index: int) -> int:
        """The next token after entry `index` of the last decoded batch."""
        if sampler.chain is None:
            logits = llama.llama_get_logits_ith(self._context, index)
            return int(np.ctypeslib.as_array(logits, (self._vocabulary_size,)).argmax())
        return int(llama.llama_sampler_sample(sampler.chain, self._context, index))

    # -- adapters -----------------------------------------------------------------------------------------------------

    def load_adapter(self, use: AdapterUse) -> None:
        """Keep the adapter resident. Raises InvalidModelFile if it does not fit this model."""
        if use.key in self._adapters:
            return
        adapter = llama.llama_adapter_lora_init(self._model, path_bytes(use.path))
        if not adapter:
            raise InvalidModelFile(
                f"applying the adapter {os.fsdecode(path_bytes(use.path))}",
                self._log.reason("llama.cpp refused it"),
                "use an adapter that was trained for this model",
            )
        self._adapters[use.key] = adapter

    def use_adapters(self, adapters: tuple[tuple[str, float], ...]) -> None:
        """Apply exactly these (key, scale) to what is decoded from now on."""
        if adapters == self._applied:
            return
        count = len(adapters)
        pointers = (llama.llama_adapter_lora_p_ctypes * max(1, count))(*(self._adapters[key] for key, _ in adapters))
        scales = (ctypes.c_float * max(1, count))(*(scale for _, scale in adapters))
        if llama.llama_set_adapters_lora(self._context, pointers, count, scales) != 0:
            raise DecodeFailed(self._log.reason("the adapters could not be applied"))
        self._applied = adapters


class _Batch:
    """A llama_batch that is filled in place. Keeps the arrays alive as long as llama.cpp may read them."""

    def __init__(self, size: int, sequences: int) -> None:
        self._tokens = (llama.llama_token * size)()
        self._positions = (ctypes.c_int32 * size)()
        self._counts = (ctypes.c_int32 * size)(*itertools.repeat(1, size))
        self._wanted = (ctypes.c_int8 * size)()
        self._ids = [(ctypes.c_int32 * 1)(sequence) for sequence in range(sequences)]
        self._id_pointers = [ctypes.cast(one, ctypes.POINTER(ctypes.c_int32)) for one in self._ids]
        self._sequences = (ctypes.POINTER(ctypes.c_int32) * size)()
        self.raw = llama.llama_batch(
            n_tokens=0,
            token=self._tokens,
            embd=None,
            pos=self._positions,
            n_seq_id=self._counts,
            seq_id=self._sequences,
            logits=self._wanted,
        )

    def fill(self, entries: Sequence[Entry]) -> None:
        for at, entry in enumerate(entries):
            self._tokens[at] = entry.token
            self._positions[at] = entry.position
            self._sequences[at] = self._id_pointers[entry.sequence]
            self._wanted[at] = entry.wanted
        self.raw.n_tokens = len(entries)


@cache
def _process_log() -> "_Log":
    """llama.cpp has one log for the whole process and keeps a bare pointer to its taker: one, for ever."""
    return _Log()


class _Log:
    """Takes llama.cpp's log: errors go to standard error, and the last of them explain a failure."""

    def __init__(self) -> None:
        self._errors: list[str] = []
        self._level = 0
        self._callback = llama.llama_log_callback(self._take)
        llama.llama_log_set(self._callback, None)

    def reason(self, otherwise: str) -> str:
        """What was logged as errors since the last call, or `otherwise`."""
        said = " ".join("".join(self._errors).split())
        self._errors.clear()
        return said[-500:] or otherwise

    def _take(self, level: int, text: bytes | None, _: object) -> None:
        if level != _LEVEL_CONTINUED:
            self._level = level
        if self._level == _LEVEL_ERROR and text:
            line = text.decode("utf-8", "replace")
            self._errors = [*self._errors[-8:], line]
            sys.stderr.write(line)
            sys.stderr.flush()
