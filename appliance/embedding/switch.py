"""Switches to another embedding model while questions are answered.

The model that made the index answers until the vectors of the wanted one are complete. Then the wanted one answers, in
one step, and the old one is closed. Whatever happens in between, the state is in the store
(`appliance.store.tables.embedders`), and the next start resumes from it.

If the old model can no longer be opened, its vectors are useless: they are dropped, and questions are answered from the
full text alone until the new vectors exist. The log, the status and `docent doctor` say so.
"""

import logging
import os
import threading
from collections.abc import Callable
from functools import partial

from appliance import wire
from appliance.embedding.loaded_models import EmbeddingModels, Model
from appliance.embedding.question_priority import Hold, QuestionsFirst
from appliance.embedding.vector_rebuild import EmbeddedText, Rebuilding
from appliance.errors import DocentError
from appliance.store import EmbedderKey, EmbedderStatus, Store
from models.errors import ModelError

_log = logging.getLogger(__name__)

OpenModel = Callable[[str], Model]
"""Opens the model in a folder, the built-in one for an empty name; raises ModelError."""

_FULL_TEXT_ALONE = (
    "the model that made the vectors no longer exists: answers come from the full text alone until new ones are made"
)


class EmbeddingSwitch:
    """Makes the configured embedding model the one that answers; a context manager.

    Its methods block and may be called from any thread.
    """

    def __init__(
        self,
        store: Store,
        models: EmbeddingModels,
        *,
        gate: QuestionsFirst,
        hold: Hold,
        open_model: OpenModel,
        embedded_text: EmbeddedText,
    ) -> None:
        self._store = store
        self._models = models
        self._gate = gate
        self._hold = hold
        self._open_model = open_model
        self._embedded_text = embedded_text
        self._lock = threading.Lock()  # one change at a time
        self._rebuilding: Rebuilding | None = None
        self._standing = EmbedderStatus(None, None)
        self._problem = ""
        self.on_change: Callable[[list[str]], None] = lambda documents: None
        """Called with documents to be read again when the models in memory, or the one that answers, have changed."""

    def __enter__(self) -> "EmbeddingSwitch":
        return self

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._halt()

    def start(self, folder: str) -> None:
        """Open the models needed to answer, and start or resume the switch to the model in `folder`.

        Raises:
            ModelError: neither it nor the model that made the index can be opened.
        """
        try:
            wanted = self._open_model(folder)
        except ModelError as error:
            made = self._store.embedding().serving
            old = self._reopen(made) if made else None
            if old is None:
                raise
            self._refuse(error)
            with self._lock:
                self._apply(self._store.embedding(), old)
        else:
            with self._lock:
                self._pursue(wanted, folder)

    def change(self, folder: str) -> None:
        """Start switching to the model in `folder`, if it is another one; if it cannot be opened, nothing changes.

        Raises:
            StoreError, NotReady: the store cannot be written; a switch that was under way continues.
        """
        try:
            wanted = self._open_model(folder)
        except ModelError as error:
            self._refuse(error)
            return
        with self._lock:
            self._halt()
            try:
                self._pursue(wanted, folder)
            except DocentError:  # a full disk, say
                self._resume()
                raise

    def view(self) -> wire.Embedding:
        """The model that answers, the one being switched to, and the progress in passages."""
        rebuilding, standing = self._rebuilding, self._standing
        done, total = rebuilding.progress() if rebuilding else (0, 0)
        remarks = [_FULL_TEXT_ALONE] if standing.serving is None else []
        return wire.Embedding(
            model=standing.serving.name if standing.serving else None,
            target=standing.target.name if rebuilding and standing.target else None,
            done=done,
            total=total,
            remark="; ".join([*remarks, *([self._problem] if self._problem else [])]) or None,
        )

    def _refuse(self, error: ModelError) -> None:
        self._problem = f"embedding.model: {error}"
        _log.error("%s; %s; the embedding model is not changed", error, error.hint)

    def _pursue(self, wanted: Model, folder: str) -> None:
        self._problem = ""
        wanted = self._add(wanted)
        place = os.path.abspath(folder) if folder else ""
        standing = self._store.want(EmbedderKey(wanted.identity, wanted.name, wanted.dimensions, place))
        if standing.serving and standing.target and standing.serving.identity not in self._models:
            old = self._reopen(standing.serving)
            if old is None:
                _log.warning("%s", _FULL_TEXT_ALONE)
                standing = self._store.forget_serving()
            else:
                self._add(old)
        self._apply(standing, wanted)
        if standing.target:
            self._rebuild(wanted)

    def _apply(self, standing: EmbedderStatus, model: Model) -> None:
        """Answer as the store's state says, with models that are open; `model` is one of them."""
        self._add(model)
        serving = standing.serving or standing.target
        assert serving is not None
        self._standing = standing
        self._models.appoint(serving.identity)
        self._models.keep_only(*(key.identity for key in (standing.serving, standing.target) if key))
        self.on_change([])

    def _rebuild(self, wanted: Model) -> None:
        rebuild = self._store.rebuild()
        assert rebuild is not None
        self._rebuilding = Rebuilding(
            rebuild,
            wanted,
            gate=self._gate,
            hold=self._hold,
            embedded_text=self._embedded_text,
            switched=self._switched,
        )
        done, total = self._rebuilding.progress()
        _log.info("embedding %d of %d passages with the model %s", total - done, total, wanted.name)
        self._rebuilding.start()

    def _resume(self) -> None:
        """Continue what `_halt` stopped."""
        target = self._standing.target
        if target and target.identity in self._models:
            with self._models.lease(target.identity) as model:
                self._rebuild(model)

    def _switched(self, outgrown: list[str]) -> None:
        """Called by the rebuild's thread once the store has switched."""
        self._standing = standing = self._store.embedding()
        assert standing.serving is not None
        self._rebuilding = None
        self._models.appoint(standing.serving.identity)
        self._models.keep_only(standing.serving.identity)
        _log.info("the embedding model %s now answers", standing.serving.name)
        if outgrown:
            _log.info("%d documents have passages that are too long for it and are read again", len(outgrown))
        self.on_change(outgrown)

    def _halt(self) -> None:
        if rebuilding := self._rebuilding:
            rebuilding.stop()
            self._rebuilding = None

    def _add(self, model: Model) -> Model:
        self._store.name_with(model.identity, partial(self._models.embed_name, model.identity))
        return self._models.add(model)

    def _reopen(self, key: EmbedderKey) -> Model | None:
        """The model that made the index, if it is still in its folder."""
        where = key.folder or "the built-in one"
        try:
            model = self._open_model(key.folder)
        except ModelError as error:
            _log.warning("the embedding model %s cannot be opened again: %s", key.name, error)
            return None
        if model.identity != key.identity:
            _log.warning("the embedding model %s no longer exists: %s is another one", key.name, where)
            model.close()
            return None
        return model
