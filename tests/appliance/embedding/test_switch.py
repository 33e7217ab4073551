"""One model replaces another in a running service: which one answers, what is reported, what is closed."""

import logging
import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from appliance.embedding.loaded_models import EmbeddingModels, Model
from appliance.embedding.question_priority import Hold, QuestionsFirst
from appliance.embedding.switch import EmbeddingSwitch
from appliance.store import EmbedderKey, Store
from models.embedding.embedder import Embedder
from models.errors import ModelError
from tests.appliance.store.filling import add
from tests.live import wait_until
from tests.models.embedding.onnx_builder import write_embedder

TEXTS = ["red green", "green blue blue", "red blue red green blue"]


class Parts:
    """A store filled by one tiny model, and what changes it."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.go = threading.Event()
        self.go.set()
        self.old = write_embedder(home / "old", name="old")
        self.new = write_embedder(home / "new", name="new", passage_prefix="passage: ")
        self.third = write_embedder(home / "third", name="third", query_prefix="query: ")
        with Embedder.open(self.old, threads=1) as made, self.store(made) as store:
            add(store, b"colours.pdf", TEXTS, embed=made.embed_passage)

    def store(self, embedder: Embedder) -> Store:
        key = EmbedderKey(embedder.identity, embedder.name, embedder.dimensions, str(self.old))
        return Store.open(self.home / "docent.db", embedder=key, embed_name=embedder.embed_passage)

    def text_of(self, heading: tuple[str, ...], text: str) -> str:
        self.go.wait(30)
        return text

    @contextmanager
    def running(self, folder: Path) -> Iterator[tuple[EmbeddingSwitch, EmbeddingModels, Store]]:
        with EmbeddingModels() as models, Store.open(self.home / "docent.db") as store:
            switch = EmbeddingSwitch(
                store,
                models,
                gate=QuestionsFirst(),
                hold=Hold(),
                open_model=lambda where: Embedder.open(Path(where), threads=1),
                embedded_text=self.text_of,
            )
            with switch:
                switch.start(str(folder))
                yield switch, models, store
                self.go.set()


@pytest.fixture
def parts(tmp_path: Path) -> Parts:
    return Parts(tmp_path)


def names(models: EmbeddingModels) -> set[str]:
    return {model.name for model in models.all()}


def current(models: EmbeddingModels) -> str:
    model: Model = models.current
    return model.name


def test_the_old_model_answers_until_the_new_one_takes_over_and_is_closed_then(parts: Parts) -> None:
    with parts.running(parts.old) as (switch, models, store):
        assert names(models) == {"old"}
        parts.go.clear()
        switch.change(str(parts.new))
        seen = switch.view()
        assert (seen.model, seen.target, seen.done, seen.total, seen.remark) == ("old", "new", 0, 3, None)
        assert (current(models), names(models)) == ("old", {"old", "new"})
        parts.go.set()
        wait_until(lambda: names(models) == {"new"}, "the old model to be closed")
        assert current(models) == "new"
        assert (switch.view().model, switch.view().target) == ("new", None)
        assert store.check() == []


def test_a_switch_that_is_interrupted_resumes_at_the_next_start(parts: Parts) -> None:
    parts.go.clear()
    with parts.running(parts.new) as (switch, models, _):
        assert (switch.view().model, switch.view().target) == ("old", "new")
        assert names(models) == {"old", "new"}
    with parts.running(parts.new) as (switch, models, store):
        wait_until(lambda: names(models) == {"new"}, "the switch")
        assert store.check() == []


def test_a_switch_can_be_reversed_and_go_to_a_third_model(parts: Parts) -> None:
    parts.go.clear()
    with parts.running(parts.new) as (switch, models, store):
        rebuilding = switch._rebuilding
        assert rebuilding is not None
        turning = threading.Thread(target=switch.change, args=(str(parts.old),))
        turning.start()
        wait_until(rebuilding._stop.is_set, "the rebuild to be stopped")
        parts.go.set()  # only now may it continue: it could have finished before the stop
        turning.join()
        assert (switch.view().model, switch.view().target) == ("old", None)
        switch.change(str(parts.third))
        wait_until(lambda: names(models) == {"third"}, "the third")
        assert store.check() == []


def test_a_wrong_folder_is_reported_and_changes_nothing(parts: Parts, caplog: pytest.LogCaptureFixture) -> None:
    with parts.running(parts.old) as (switch, models, _):
        switch.change("/nowhere")
        assert "/nowhere" in (switch.view().remark or "")
        assert [one.levelno for one in caplog.records if "/nowhere" in one.message] == [logging.ERROR]
        assert (current(models), names(models)) == ("old", {"old"})
        switch.change(str(parts.old))
        assert switch.view().remark is None


def test_a_start_with_a_wrong_folder_continues_with_the_model_that_made_the_index(parts: Parts) -> None:
    with parts.running(Path("/nowhere")) as (switch, models, _):
        assert current(models) == "old"
        assert "/nowhere" in (switch.view().remark or "")
    shutil.rmtree(parts.old)
    with pytest.raises(ModelError, match="nowhere"), parts.running(Path("/nowhere")):
        pass


@pytest.mark.parametrize("way", ["removed", "replaced"])
def test_without_the_old_model_the_full_text_answers_and_a_remark_says_so(parts: Parts, way: str) -> None:
    shutil.rmtree(parts.old)
    if way == "replaced":
        write_embedder(parts.old, name="old", normalise=True)
    parts.go.clear()
    with parts.running(parts.new) as (switch, models, store):
        seen = switch.view()
        assert (seen.model, seen.target) == (None, "new")
        assert "full text alone" in (seen.remark or "")
        assert current(models) == "new"
        with store.snapshot() as view:
            assert view.embedder is None
        parts.go.set()
        wait_until(lambda: switch.view().model == "new", "the new vectors")
        assert switch.view().remark is None
        assert store.check() == []


def test_documents_with_passages_too_long_for_the_new_model_are_read_again(parts: Parts) -> None:
    short = write_embedder(parts.home / "short", name="short", max_tokens=6)
    handed: list[str] = []
    with parts.running(parts.old) as (switch, _, store):
        switch.on_change = handed.extend
        switch.change(str(short))
        wait_until(lambda: handed, "the document")
        waiting = store.queue.next_pending()
        assert waiting
        assert handed == [waiting.id]
