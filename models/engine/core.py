"""One loaded model with one context of several sequences.

It knows nothing of requests: what to decode is decided in `batching`. All of it belongs to the child's main thread.
"""

import os
from collections.abc import Sequence

import llama_cpp as llama

from models.engine.adapters import AdapterShelf
from models.engine.batch import Batch, Entry
from models.engine.failure import DecodeFailed
from models.engine.loading import load_model, make_context
from models.engine.log import process_log
from models.engine.samplers import Sampler
from models.engine.vocabulary import Vocabulary
from models.output import Choice
from models.protocol import LoadSettings, Sampling, path_bytes


class Engine:
    """A loaded model. `context` is the most tokens of one sequence, `cells` what all sequences share."""

    def __init__(self, path: str, settings: LoadSettings) -> None:
        """Raises ModelLoadFailed with llama.cpp's own words."""
        what = f"loading {os.fsdecode(path_bytes(path))}"
        self._log = process_log()
        llama.llama_backend_init()
        self._model = load_model(what, path, settings)
        self.vocabulary = Vocabulary(self._model)
        trained = int(llama.llama_model_n_ctx_train(self._model)) or settings.context
        self.context = min(settings.context, trained)
        self.extensible = settings.context < trained
        """Whether the configuration, not the model, limits the context."""
        self._context = make_context(what, self._model, settings)
        self.cells = int(llama.llama_n_ctx(self._context))
        self.batch = settings.batch
        self.parallel = settings.parallel
        self._memory = llama.llama_get_memory(self._context)
        self.adapters = AdapterShelf(self._model, self._context)
        self._batch = Batch(settings.batch, settings.parallel)
        self._warm_up()

    def _warm_up(self) -> None:
        """Touches the weights and the compute buffers, so that memory can be measured and the first answer is fast."""
        token = max(0, int(llama.llama_vocab_bos(self.vocabulary.pointer)))
        llama.llama_set_warmup(self._context, True)
        self.decode([Entry(token, 0, 0, wanted=True)])
        llama.llama_memory_clear(self._memory, True)
        llama.llama_set_warmup(self._context, False)

    def decode(self, entries: Sequence[Entry]) -> None:
        """Decode up to `batch` tokens; afterwards `sample` may be called for the wanted ones. Raises DecodeFailed."""
        self._batch.fill(entries)
        status = int(llama.llama_decode(self._context, self._batch.raw))
        if status != 0:
            raise DecodeFailed(self._log.reason(f"llama_decode gave {status} for {len(entries)} tokens"))

    def forget(self, sequence: int) -> None:
        """Free the sequence's cells."""
        llama.llama_memory_seq_rm(self._memory, sequence, -1, -1)

    def use_adapters(self, adapters: tuple[tuple[str, float], ...]) -> None:
        """Apply exactly these (key, scale) to what is decoded from now on."""
        self.adapters.use(adapters)

    def sampler(self, sampling: Sampling) -> Sampler:
        """How one request's tokens are chosen."""
        return Sampler.make(self._context, self.vocabulary, sampling)

    def sample(self, sampler: Sampler, index: int) -> Choice:
        """The next token after entry `index` of the last decoded batch."""
        return sampler.choose(index)

    def piece(self, token: int) -> bytes:
        """The bytes a token stands for; control tokens stand for none."""
        return self.vocabulary.piece(token)

    def is_end(self, token: int) -> bool:
        """Whether the model ends its answer with this token."""
        return self.vocabulary.is_end(token)
