"""How the composition root joins its parts."""

from pathlib import Path
from threading import Event
from types import SimpleNamespace
from typing import Any

import pytest

from appliance.config.settings import Settings
from appliance.embedding.loaded_models import EmbeddingModels
from appliance.embedding.question_priority import Hold, QuestionsFirst
from appliance.library.attempt import OpenDocument
from appliance.service import _document_opener
from ingest.errors import Unreadable


class FakeModel:
    """Remembers that it was closed."""

    identity, tokenizer_id, max_tokens, closed = "fake", "pieces", 254, False

    def close(self) -> None:
        self.closed = True


@pytest.fixture
def parts(tmp_path: Path) -> Any:
    model, models = FakeModel(), EmbeddingModels()
    models.add(model)  # type: ignore[arg-type]
    models.appoint(model.identity)
    return SimpleNamespace(model=model, models=models, gate=QuestionsFirst(), hold=Hold())


@pytest.fixture
def open_document(parts: Any, tmp_path: Path) -> OpenDocument:
    (tmp_path / "a.pdf").write_bytes(b"%PDF-1.7")
    return _document_opener(bytes(tmp_path), parts, Settings())


def test_a_model_stays_leased_while_a_document_is_open(parts: Any, open_document: OpenDocument) -> None:
    with open_document(b"a.pdf", Event()) as reading:
        assert reading.embedder_identity == "fake"
        parts.models.keep_only()
        assert not parts.model.closed
    assert parts.model.closed


def test_a_document_that_cannot_be_opened_leases_no_model(parts: Any, open_document: OpenDocument) -> None:
    with pytest.raises(Unreadable), open_document(b"missing.pdf", Event()):
        pass
    parts.models.keep_only()
    assert parts.model.closed
