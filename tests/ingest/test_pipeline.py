"""The pipeline brings whole documents into a sink, in batches, and resumes where it was stopped."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from threading import Event
from types import SimpleNamespace
from typing import Any

import pytest

from ingest import pipeline
from ingest.errors import NoText, ReadOtherwise, Stopped
from ingest.parsing.extraction import open_extraction
from ingest.types import DocumentInfo, Page
from tests.ingest.fakes import FakeEmbedder, FakeSink
from tests.ingest.flow import Block, laid_out
from tests.pdf_builder import PdfBuilder, image_only_pdf

SENTENCE = "Page {page} says that pump {n} needs oil of grade {n} before the season begins in earnest. "


@pytest.fixture(scope="module")
def manual(tmp_path_factory: pytest.TempPathFactory) -> Path:
    builder = PdfBuilder(title="The Pump Manual", footer="Page {page} of {pages}")
    for page in range(1, 9):
        if page > 1:
            builder.page()
        builder.heading(f"{page} Pump number {page}")
        for part in range(4):
            builder.paragraph("".join(SENTENCE.format(page=page, n=10 * page + part + n) for n in range(6)))
    return builder.save(tmp_path_factory.mktemp("pdf") / "manual.pdf")


def ingest(path: Path, sink: FakeSink, embedder: FakeEmbedder | None = None, stop: Event | None = None) -> FakeEmbedder:
    embedder = embedder or FakeEmbedder()
    with open_extraction(path) as extraction:
        pipeline.run(extraction, embedder=embedder, sink=sink, batch_chunks=4, stop=stop or Event())
    return embedder


def test_every_page_and_chunk_is_committed_once_and_in_order(manual: Path) -> None:
    sink = FakeSink()
    ingest(manual, sink)
    assert [page.number for page in sink.pages] == list(range(1, 9))
    chunks = [chunk.chunk for batch in sink.batches for chunk in batch.chunks]
    assert [chunk.ordinal for chunk in chunks] == list(range(len(chunks)))
    assert len(sink.batches) > 3
    assert sink.completed
    assert sink.batches[-1].title == "The Pump Manual"


def test_a_page_is_committed_no_later_than_the_last_chunk_that_touches_it(manual: Path) -> None:
    sink = FakeSink()
    ingest(manual, sink)
    committed: set[int] = set()
    for batch in sink.batches:
        committed |= {page.number for page in batch.pages}
        assert all(word.page in committed for chunk in batch.chunks for word in chunk.chunk.words)
        assert batch.pages_done == max(committed)


@pytest.mark.parametrize("batches", [1, 2, 3, 5])
def test_resuming_gives_the_same_as_never_having_been_stopped(manual: Path, batches: int) -> None:
    whole = FakeSink()
    ingest(manual, whole)
    resumed = FakeSink(batches=whole.batches[:batches])
    embedder = ingest(manual, resumed)
    assert resumed.texts == whole.texts
    assert resumed.pages == whole.pages
    assert len(embedder.embedded) == len(whole.texts) - sum(len(batch.chunks) for batch in whole.batches[:batches])


class Recognised:
    """An extraction of scanned pages."""

    what = "reading scan.pdf"
    recognition = SimpleNamespace(skipped_pages=0)

    def __init__(self, pages: list[Page]) -> None:
        self.info = DocumentInfo(len(pages), "")
        self._pages = pages

    def __iter__(self) -> Iterator[Page]:
        return iter(self._pages)

    def abort(self) -> None:
        """Nothing runs."""


class Slow(Recognised):
    """The second page arrives only after the first one was announced."""

    def __init__(self, pages: list[Page], sink: FakeSink) -> None:
        super().__init__(pages)
        self._sink = sink

    def __iter__(self) -> Iterator[Page]:
        for page in self._pages:
            yield page
            if page.number == 1:
                self.seen = self._sink.announced.wait(10), self._sink.info, list(self._sink.batches)


def test_page_count_and_recognised_pages_are_announced_before_the_first_batch() -> None:
    sink = FakeSink()
    extraction: Any = Slow(scanned(), sink)
    pipeline.run(extraction, embedder=FakeEmbedder(), sink=sink, batch_chunks=4, stop=Event())
    assert extraction.seen == (True, extraction.info, [])
    assert sink.recognised >= 1


def scanned(without: int = 0) -> list[Page]:
    """Twelve pages of a few sentences, one of them not recognised."""
    paragraphs = ["".join(SENTENCE.format(page=page, n=n) for n in range(9)) for page in range(1, 40)]
    read = [replace(page, source="ocr") for page in laid_out([Block("p", text) for text in paragraphs])]
    return [replace(p, lines=(), text="", source="skipped") if p.number == without else p for p in read]


@pytest.mark.parametrize(("before", "now"), [(2, 0), (0, 2)])
def test_work_does_not_resume_if_a_committed_page_now_reads_differently(before: int, now: int) -> None:
    def run(pages: list[Page]) -> None:
        extraction: Any = Recognised(pages)
        pipeline.run(extraction, embedder=FakeEmbedder(), sink=sink, batch_chunks=4, stop=Event())

    sink = FakeSink(fail_at=3)
    with pytest.raises(OSError, match="full"):
        run(scanned(before))
    sink.fail_at = -1
    held = sink.texts
    with pytest.raises(ReadOtherwise, match="page 2"):
        run(scanned(now))
    assert sink.texts == held
    run(scanned(before))
    assert sink.completed


def test_vectors_that_the_sink_already_has_are_not_computed_again(manual: Path) -> None:
    first = FakeSink()
    ingest(manual, first)
    known = {c.embedded_text: c.vector for batch in first.batches for c in batch.chunks[:2]}
    second = FakeSink(known=known)
    embedder = ingest(manual, second)
    assert not known.keys() & set(embedder.embedded)
    assert second.texts == first.texts


def test_stopping_raises_stopped_and_keeps_what_was_committed(manual: Path) -> None:
    stop = Event()

    class StoppingSink(FakeSink):
        def commit(self, batch: object) -> None:
            super().commit(batch)  # type: ignore[arg-type]  # narrower in the base class
            stop.set()

    sink = StoppingSink()
    with pytest.raises(Stopped):
        ingest(manual, sink, stop=stop)
    assert sink.batches
    assert not sink.completed


def test_an_error_of_the_sink_is_raised_and_ends_all_threads(manual: Path) -> None:
    sink = FakeSink(fail_at=1)
    with pytest.raises(OSError, match="disk is full"):
        ingest(manual, sink)
    assert len(sink.batches) == 1


def test_a_document_without_text_is_refused_with_a_hint(tmp_path: Path) -> None:
    sink = FakeSink()
    with pytest.raises(NoText) as caught:
        ingest(image_only_pdf(tmp_path / "scan.pdf", pages=3), sink)
    assert 'ocr = "auto"' in caught.value.hint
    assert not sink.completed
