"""A reading joins an opened file, a parser and an embedding model, and says what its chunks depend on."""

import hashlib
from pathlib import Path
from threading import Event

import pytest

from ingest.errors import Stopped
from ingest.parsing.opened_file import open_file
from ingest.reader import DocumentReading, ReadingOptions
from ingest.sandbox.limits import Limits
from ingest.types import identity_of
from tests.ingest.fakes import FakeEmbedder, FakeSink
from tests.pdf_builder import simple_pdf


class IdentifiedEmbedder(FakeEmbedder):
    identity = "fake"
    tokenizer_id = "pieces"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return simple_pdf(tmp_path / "a.pdf", "The pump needs oil.", "The filter needs air.")


def options(chunk_tokens: int) -> ReadingOptions:
    return ReadingOptions(Limits(), chunk_tokens, batch_chunks=4)


def test_a_file_is_hashed_and_read_into_the_sink(path: Path) -> None:
    sink, embedder = FakeSink(), IdentifiedEmbedder()
    with open_file(path) as file:
        reading = DocumentReading(file, embedder, options(200), Event())
        assert reading.identity == identity_of(path.stat())
        assert reading.sha256() == hashlib.sha256(path.read_bytes()).hexdigest()
        reading.read_into(sink)
    assert sink.completed
    assert "pump" in " ".join(sink.texts)
    assert embedder.embedded


def test_a_reading_names_its_model_and_what_its_chunks_depend_on(path: Path) -> None:
    embedder = IdentifiedEmbedder()
    with open_file(path) as file:
        short = DocumentReading(file, embedder, options(200), Event())
        assert (short.embedder_identity, short.chunking) == ("fake", "pieces:200:254")
        too_long = DocumentReading(file, embedder, options(10_000), Event())
        assert too_long.chunking == "pieces:254:254"


def test_a_set_stop_event_ends_the_hash_and_the_reading(path: Path) -> None:
    stop = Event()
    stop.set()
    with open_file(path) as file:
        reading = DocumentReading(file, IdentifiedEmbedder(), options(200), stop)
        with pytest.raises(Stopped):
            reading.sha256()
        with pytest.raises(Stopped):
            reading.read_into(FakeSink())
