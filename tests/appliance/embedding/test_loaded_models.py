"""Models are leased by identity, and closed when their last lease ends."""

from pathlib import Path

import pytest

from appliance.embedding.loaded_models import EmbeddingModels
from appliance.store import ModelGone
from models.embedding.embedder import Embedder
from tests.models.embedding.onnx_builder import write_embedder


def opened(folder: Path, prefix: str = "") -> Embedder:
    return Embedder.open(write_embedder(folder, passage_prefix=prefix), threads=1)


def closed(model: Embedder) -> bool:
    try:
        model.embed_passage("red")
    except RuntimeError:
        return True
    return False


def test_a_leased_model_stays_loaded_until_its_last_lease_ends(tmp_path: Path) -> None:
    one, other = opened(tmp_path / "one"), opened(tmp_path / "other", "passage: ")
    with EmbeddingModels() as models:
        models.add(one)
        models.add(other)
        models.appoint(one.identity)
        with models.lease() as lent, models.lease(one.identity):
            models.appoint(other.identity)
            models.keep_only(other.identity)
            assert lent is one
            assert one.identity not in models
            assert not closed(one)
        assert closed(one)
        with pytest.raises(ModelGone), models.lease(one.identity):
            pass
        with models.lease() as lent:
            assert lent is other
        assert models.all() == [other]
    assert closed(other)


def test_the_same_model_opened_twice_is_kept_once(tmp_path: Path) -> None:
    one, again = opened(tmp_path / "one"), opened(tmp_path / "one copied")
    with EmbeddingModels() as models:
        assert models.add(one) is one
        assert models.add(again) is one
        assert closed(again)
        assert not closed(one)


def test_a_model_no_longer_needed_but_still_leased_can_be_added_again(tmp_path: Path) -> None:
    one = opened(tmp_path / "one")
    with EmbeddingModels() as models:
        models.add(one)
        with models.lease(one.identity):
            models.keep_only()
            models.add(one)
        assert not closed(one)
