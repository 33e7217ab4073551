"""Makes the target model's vectors, in a thread, until the target answers.

Its only state is in the store: whenever it is stopped, the next one resumes after the last committed batch. It embeds
behind the questions (`question_priority`). Readers of documents wait for it only at the very end, while it embeds what
they have read last: otherwise it might never catch up with them.
"""

import logging
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack

from appliance.embedding.loaded_models import Model
from appliance.embedding.question_priority import Hold, QuestionsFirst
from appliance.errors import NotReady, StoreError
from appliance.store import LackingChunk, LackingName, Rebuild, Remade
from models.errors import ModelError

_log = logging.getLogger(__name__)
# Chosen by eye.
_BATCH = 48  # texts a transaction
_RETRY_SECONDS = 5.0

EmbeddedText = Callable[[tuple[str, ...], str], str]
"""The text to embed for a chunk's heading path and text; `ingest.chunking.chunker.embedded_text`."""


class Rebuilding:
    """One rebuild; `start()` it, `stop()` it to abandon it."""

    def __init__(
        self,
        rebuild: Rebuild,
        model: Model,
        *,
        gate: QuestionsFirst,
        hold: Hold,
        embedded_text: EmbeddedText,
        switched: Callable[[list[str]], None],
    ) -> None:
        """`switched(documents)` is called by the thread once the model answers; those documents must be read again."""
        self._rebuild = rebuild
        self._model = model
        self._gate = gate
        self._hold = hold
        self._embedded_text = embedded_text
        self._switched = switched
        self._stop = threading.Event()
        self._retry_seconds = _RETRY_SECONDS
        self._done, self._total = rebuild.progress()
        self._thread = threading.Thread(target=self._run, name="docent-rebuild", daemon=True)

    def progress(self) -> tuple[int, int]:
        """Passages done, and in total; from any thread."""
        total = self._total
        return min(self._done, total), total

    def start(self) -> None:
        """Start, or resume after the last committed batch."""
        self._thread.start()

    def stop(self) -> None:
        """End after the current text; what is not committed is lost."""
        self._stop.set()
        self._thread.join()

    # Below: the thread.

    def _run(self) -> None:
        while not self._stop.is_set():
            try:
                self._work()
            except NotReady:
                return
            except (StoreError, ModelError) as error:
                # a full disk, say: nothing is lost, and a later retry is all that can help
                _log.error("%s; %s", error, error.hint)
            except Exception:  # noqa: BLE001 - the top of a loop that must survive
                _log.exception("rebuilding the vectors failed")
            else:
                return
            self._stop.wait(self._retry_seconds)

    def _work(self) -> None:
        """Embed batches until the target answers, is no longer the target, or `stop` is called."""
        after = 0
        with ExitStack() as held:
            while not self._stop.is_set():
                chunks = self._rebuild.lacking_chunks(after, _BATCH)
                names = self._rebuild.lacking_names(_BATCH) if len(chunks) < _BATCH else []
                if len(chunks) < _BATCH and len(names) < _BATCH:
                    held.enter_context(self._hold.held())
                if not (chunks or names):
                    outgrown = self._rebuild.switch()
                    if outgrown is not None:
                        held.close()
                        self._switched(outgrown)
                        return
                    after = 0
                still = self._add_chunks(chunks) and self._add_names(names)
                if not still:
                    return
                after = chunks[-1].chunk if chunks else after

    def _add_chunks(self, chunks: list[LackingChunk]) -> bool:
        texts = {one.text_hash: self._embedded_text(one.heading, one.text) for one in chunks}
        vectors = list(self._model.embed_passages(self._until_stopped(texts.values()), self._gate))
        remade = [
            Remade(key, vector, self._model.count_tokens(text) > self._model.max_tokens)
            for (key, text), vector in zip(texts.items(), vectors, strict=False)  # fewer once `stop` was called
        ]
        self._done += len(chunks)
        self._total = self._rebuild.total()
        return self._rebuild.add_chunks(remade)

    def _add_names(self, names: list[LackingName]) -> bool:
        vectors = self._model.embed_passages(self._until_stopped(one.text for one in names), self._gate)
        return self._rebuild.add_names(list(zip(names, vectors, strict=False)))

    def _until_stopped(self, texts: Iterable[str]) -> Iterator[str]:
        for text in texts:
            if self._stop.is_set():
                return
            yield text
