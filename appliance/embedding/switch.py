"""Switches to another embedding model while questions are answered.

The model that made the index answers until the target model's vectors are complete. Then the target answers, in one
step, and the old model is closed. Whatever happens in between, the state is in the store
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
        self._status = EmbedderStatus(None, None)
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
            target = self._open_model(folder)
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
                self._switch_to(target, folder)

    def change(self, folder: str) -> None:
        """Start switching to the model in `folder`, if it is another one; if it cannot be opened, nothing changes.

        Raises:
            StoreError, NotReady: the store cannot be written; a switch that was under way continues.
        """
        try:
            target = self._open_model(folder)
        except ModelError as error:
            self._refuse(error)
            return
        with self._lock:
            self._halt()
            try:
                self._switch_to(target, folder)
            except DocentError:  # a full disk, say
                self._resume()
                raise

    def view(self) -> wire.Embedding:
        """The model that answers, the one being switched to, and the progress in passages."""
        rebuilding, status = self._rebuilding, self._status
        done, total = rebuilding.progress() if rebuilding else (0, 0)
        remarks = [_FULL_TEXT_ALONE] if status.serving is None else []
        return wire.Embedding(
            model=status.serving.name if status.serving else None,
            target=status.target.name if rebuilding and status.target else None,
            done=done,
            total=total,
            remark="; ".join([*remarks, *([self._problem] if self._problem else [])]) or None,
        )

    def _refuse(self, error: ModelError) -> None:
        self._problem = f"embedding.model: {error}"
        _log.error("%s; %s; the embedding model is not changed", error, error.hint)

    def _switch_to(self, target: Model, folder: str) -> None:
        self._problem = ""
        target = self._add(target)
        place = os.path.abspath(folder) if folder else ""
        status = self._store.want(EmbedderKey(target.identity, target.name, target.dimensions, place))
        if status.serving and status.target and status.serving.identity not in self._models:
            old = self._reopen(status.serving)
            if old is None:
                _log.warning("%s", _FULL_TEXT_ALONE)
                status = self._store.forget_serving()
            else:
                self._add(old)
        self._apply(status, target)
        if status.target:
            self._rebuild(target)

    def _apply(self, status: EmbedderStatus, model: Model) -> None:
        """Answer as the store's state says, with models that are open; `model` is one of them."""
        self._add(model)
        serving = status.serving or status.target
        assert serving is not None
        self._status = status
        self._models.appoint(serving.identity)
        self._models.keep_only(*(key.identity for key in (status.serving, status.target) if key))
        self.on_change([])

    def _rebuild(self, target: Model) -> None:
        rebuild = self._store.rebuild()
        assert rebuild is not None
        self._rebuilding = Rebuilding(
            rebuild,
            target,
            gate=self._gate,
            hold=self._hold,
            embedded_text=self._embedded_text,
            switched=self._switched,
        )
        done, total = self._rebuilding.progress()
        _log.info("embedding %d of %d passages with the model %s", total - done, total, target.name)
        self._rebuilding.start()

    def _resume(self) -> None:
        """Continue what `_halt` stopped."""
        target = self._status.target
        if target and target.identity in self._models:
            with self._models.lease(target.identity) as model:
                self._rebuild(model)

    def _switched(self, outgrown: list[str]) -> None:
        """Called by the rebuild's thread once the store has switched."""
        self._status = status = self._store.embedding()
        assert status.serving is not None
        self._rebuilding = None
        self._models.appoint(status.serving.identity)
        self._models.keep_only(status.serving.identity)
        _log.info("the embedding model %s now answers", status.serving.name)
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
