"""The embedding model is switched while clients search, files change, and the service is killed."""

import random
import shutil
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import apsw
import pytest

from appliance import wire
from appliance.client import Client
from appliance.config.settings import Settings
from models.embedding.embedder import Embedder
from tests.conftest import SAMPLES
from tests.embedding_variant import variant
from tests.live import Live, live_service, short_home, wait_until
from tests.process import served

pytestmark = pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning")
QUESTIONS = (
    "What happens when alarm A24 appears three times within one hour?",
    "How fast must a technician be on site when a person is trapped in a lift?",
    "Ellery plant output in the third quarter",
    "cold store temperature",
)


@contextmanager
def searching(socket: Path, seed: int) -> Iterator[list[wire.SearchReply | BaseException]]:
    """Sends queries one after another while the block runs; yields the growing list of replies and errors."""
    replies: list[wire.SearchReply | BaseException] = []
    stop = threading.Event()

    def ask() -> None:
        chance = random.Random(seed)
        with Client(socket) as client:
            while not stop.is_set():
                try:
                    replies.append(client.search(chance.choice(QUESTIONS), k=5))
                except Exception as error:  # noqa: BLE001 - checked in the test's thread
                    replies.append(error)

    thread = threading.Thread(target=ask)
    thread.start()
    try:
        yield replies
    finally:
        stop.set()
        thread.join()


def copy_samples(library: Path) -> list[str]:
    library.mkdir(exist_ok=True)
    names = sorted(path.name for path in SAMPLES.glob("*.pdf"))
    for name in names:
        shutil.copy(SAMPLES / name, library / name)
    return names


def status_of(client: Client) -> wire.Embedding:
    embedding = client.status().embedding
    assert embedding
    return embedding


def answers_alone(client: Client, name: str) -> bool:
    found = client.status()
    return found.queue == 0 and found.embedding == wire.Embedding(model=name)


def vectors(home: Path) -> list[tuple[str, int]]:
    connection = apsw.Connection(str(home / "docent.db"), flags=apsw.SQLITE_OPEN_READONLY)
    try:
        sql = "SELECT e.name, count(*) FROM vectors v JOIN embedders e ON e.id = v.embedder GROUP BY e.id"
        return [(str(name), int(str(count))) for name, count in connection.execute(sql)]
    finally:
        connection.close()


def test_searches_and_file_changes_continue_through_a_switch_and_back(live: Live, tmp_path: Path) -> None:
    names = copy_samples(live.library)
    for name in names:
        assert live.wait_for(name).state == "indexed"
    other = variant(tmp_path / "other")
    with searching(live.places.socket, seed=4) as replies:
        wait_until(lambda: len(replies) > 2, "questions")
        live.context.switch.change(str(other))
        began = status_of(live.client)
        assert (began.model, began.target) == ("all-MiniLM-L6-v2", "other")
        assert began.total > 0
        (live.library / names[0]).rename(live.library / "renamed.pdf")
        (live.library / names[1]).unlink()
        shutil.copy(SAMPLES / names[1], live.library / "again.pdf")
        wait_until(lambda: answers_alone(live.client, "other"), "the switch")
        wait_until(lambda: (found := live.document("again.pdf")) and found.state == "indexed", "again.pdf")
        half = len(replies)
        wait_until(lambda: len(replies) > half + 2, "more questions")
    assert [reply for reply in replies if not isinstance(reply, wire.SearchReply)] == []
    assert all(reply.results for reply in replies if isinstance(reply, wire.SearchReply))
    assert live.context.store.check() == []
    assert [name for name, _ in vectors(live.places.home)] == ["other"]
    assert [model.id for model in live.client.models() if model.kind == "embedding"] == ["other"]
    with Embedder.open(other, threads=1) as embedder, live.context.store.snapshot() as snapshot:
        ((_, cosine), *_) = snapshot.nearest(embedder.embed_passage("never"), k=1)
        assert cosine < 0.9
    live.context.switch.change("")
    wait_until(lambda: answers_alone(live.client, "all-MiniLM-L6-v2"), "the way back")
    assert live.context.store.check() == []


def test_passages_too_long_for_the_new_model_are_cut_again(live: Live, tmp_path: Path) -> None:
    names = copy_samples(live.library)
    for name in names:
        live.wait_for(name)
    short = variant(tmp_path / "short", max_tokens=64)
    live.context.switch.change(str(short))
    wait_until(lambda: answers_alone(live.client, "short"), "the switch and the reading")
    assert live.context.store.check() == []
    with Embedder.open(short, threads=1) as embedder:
        connection = apsw.Connection(str(live.places.database), flags=apsw.SQLITE_OPEN_READONLY)
        texts = [str(text) for (text,) in connection.execute("SELECT text FROM chunks")]
        assert connection.execute("SELECT count(*) FROM vectors WHERE cut").fetchall() == [(0,)]
        connection.close()
        assert texts
        assert all(embedder.count_tokens(text) <= embedder.max_tokens for text in texts)


def test_without_the_old_model_full_text_search_answers_until_the_new_vectors_are_ready(tmp_path: Path) -> None:
    with short_home() as folder:
        home = Path(folder)
        old, new = variant(tmp_path / "old"), variant(tmp_path / "new", passage_prefix="")
        copy_samples(home / "library")
        with live_service(home, with_model(old)) as live:
            wait_until(lambda: live.client.status().documents.indexed == 4, "the samples")
        shutil.rmtree(old)
        with live_service(home, with_model(new)) as live:
            live.context.switch.change("/nowhere")  # a wrong setting while a switch is running
            seen = status_of(live.client)
            assert "/nowhere" in (seen.remark or "")
            assert live.client.search(QUESTIONS[0]).results[0].document == "tideline-400-watermaker-manual.pdf"
            assert live.client.ask(wire.AskRequest(question=QUESTIONS[0])).citations
            wait_until(lambda: status_of(live.client).model == "new", "the new vectors")
            assert live.context.store.check() == []
            assert live.client.search(QUESTIONS[0]).results[0].document == "tideline-400-watermaker-manual.pdf"


def with_model(folder: Path) -> Settings:
    return Settings.model_validate({"library": {"settle_seconds": 0.2}, "embedding": {"model": str(folder)}})


def test_a_reload_switches_the_model_a_kill_is_harmless_and_a_wrong_folder_changes_nothing(tmp_path: Path) -> None:
    other = variant(tmp_path / "other")
    with short_home() as folder:
        home = Path(folder)
        copy_samples(home / "library")
        with served(home) as service:
            wait_until(lambda: service.client.status().documents.indexed == 4, "the samples", 120)
            (home / "docent.toml").write_text('[embedding]\nmodel = "/nowhere"\n')
            service.process.send_signal(signal.SIGHUP)
            remark = wait_until(lambda: status_of(service.client).remark, "the remark")
            assert "/nowhere" in remark
            assert service.client.search(QUESTIONS[0]).results
            (home / "docent.toml").write_text(f'[embedding]\nmodel = "{other}"\n')
            service.process.send_signal(signal.SIGHUP)
            aim = random.Random(4).randrange(1, 60)
            wait_until(lambda: status_of(service.client).done >= aim, "some progress")
            service.kill()
        with served(home) as service:
            wait_until(lambda: answers_alone(service.client, "other"), "the rest", 120)
            assert service.client.search(QUESTIONS[0]).results
            assert service.terminate(60) == 0
        assert [name for name, _ in vectors(home)] == ["other"]
