"""Streams one document: extraction -> chunks -> vectors -> committed batches.

Three things overlap. The parser's process and the chunker, in a thread of its own, run one batch ahead. The embedder
works on up to two batches. The calling thread commits a batch while the next is embedded; only it touches the sink.

After a restart, reading and chunking start again from the first page. The same pages always give the same chunks, so
what the sink already has is skipped without embedding: chunks by their number, pages once they have been compared,
since text recognition may have been reconfigured meanwhile. The first batches are small and no batch waits long for its
last chunk, so work that is interrupted again and again still makes progress.
"""

import contextlib
import queue
import time
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from threading import Event, Thread

from ingest.chunking.chunker import ChunkLimits, chunk_pages, embedded_text
from ingest.errors import NoText, ReadOtherwise, Stopped
from ingest.metadata.document_metadata import About
from ingest.ocr.turned_pages import TurnedPages
from ingest.parsing.extraction import Extraction
from ingest.types import Batch, Chunk, EmbeddedChunk, Embedder, Page, Sink, Vector

# Chosen by eye. A batch is one durable transaction, and what an interruption loses.
BATCH_CHUNKS = 32
_FIRST_CHUNKS = 8  # doubles with each batch up to the size asked for
_BATCH_SECONDS = 2.0  # a batch with any chunk is closed after this time
_BATCH_PAGES = 64  # bounds the memory of a batch whose pages give few chunks
_EMBEDDED_AT_ONCE = 2
_POLL_SECONDS = 0.1  # how soon a stop, and the number of pages of a slow document, are noticed


@dataclass(slots=True)
class _Draft:
    """A batch before its vectors are known."""

    pages: list[Page] = field(default_factory=list)
    again: list[Page] = field(default_factory=list)
    """Pages that the sink already has."""
    chunks: list[tuple[Chunk, str]] = field(default_factory=list)
    pages_done: int = 0
    about: About = field(default_factory=About)


def run(
    extraction: Extraction,
    *,
    embedder: Embedder,
    sink: Sink,
    limits: ChunkLimits | None = None,
    batch_chunks: int = BATCH_CHUNKS,
    stop: Event,
    clock: Callable[[], float] = time.monotonic,
) -> None:
    """Read one document into the sink, keeping what the sink already has.

    A batch holds `batch_chunks` chunks, fewer at first and where they come slowly. Raises NoText, Stopped once `stop` is
    set, ReadOtherwise, and whatever the extraction, the embedder and the sink raise. What was committed before stays
    committed.
    """
    limits = limits or ChunkLimits(max_tokens=embedder.max_tokens)
    sink.begin(extraction.info)
    with _Drafts(extraction, embedder, sink, limits, batch_chunks, stop, clock) as drafts:
        waiting: deque[tuple[_Draft, dict[str, Vector], Future[list[Vector]]]] = deque()
        with ThreadPoolExecutor(_EMBEDDED_AT_ONCE, thread_name_prefix="embed-batch") as pool:
            for draft in drafts:
                if draft is None:
                    sink.announce(drafts.recognised)
                if draft is not None:
                    _compare(sink, draft.again, extraction.what)
                if draft is not None and (draft.pages or draft.chunks):
                    texts = [text for _, text in draft.chunks]
                    known = sink.known_vectors(texts) if texts else {}
                    missing = [text for text in dict.fromkeys(texts) if text not in known]
                    waiting.append((draft, known, pool.submit(_embed, embedder, missing, stop, extraction.what)))
                if len(waiting) == _EMBEDDED_AT_ONCE or (draft is None and waiting and waiting[0][2].done()):
                    _commit(sink, *waiting.popleft())
            while waiting:
                _commit(sink, *waiting.popleft())
    if drafts.chunks_seen == 0:
        raise _no_text(extraction)
    sink.complete()


def _compare(sink: Sink, pages: list[Page], what: str) -> None:
    for page in pages:
        if not sink.holds(page):
            why = f"page {page.number} gives another text than before the interruption"
            raise ReadOtherwise(what, why, "nothing to do: it is read again from the beginning")


def _embed(embedder: Embedder, texts: list[str], stop: Event, what: str) -> list[Vector]:
    def checked() -> Iterator[str]:
        for text in texts:
            _check(stop, what)
            yield text

    return list(embedder.embed_passages(checked()))


def _commit(sink: Sink, draft: _Draft, known: dict[str, Vector], future: Future[list[Vector]]) -> None:
    fresh = iter(future.result())
    vectors = dict(known)
    embedded = []
    for chunk, text in draft.chunks:
        if text not in vectors:
            vectors[text] = next(fresh)
        embedded.append(EmbeddedChunk(chunk, text, vectors[text]))
    sink.commit(Batch(tuple(draft.pages), tuple(embedded), draft.pages_done, *draft.about))


def _no_text(extraction: Extraction) -> NoText:
    skipped = extraction.recognition.skipped_pages
    why = f"none of its pages holds text, and {skipped} could not be recognised" if skipped else "no page holds text"
    if skipped and not extraction.recognition.is_possible:
        why = f"none of its pages holds text, and {extraction.recognition.why_not}"
    return NoText(extraction.what, why, extraction.recognition.hint)


def _check(stop: Event, what: str) -> None:
    if stop.is_set():
        raise Stopped(what, "the service is stopping")


class _Drafts:
    """Batches of chunks, made ahead by a thread; iteration drains it, leaving the context ends it."""

    def __init__(
        self,
        extraction: Extraction,
        embedder: Embedder,
        sink: Sink,
        limits: ChunkLimits,
        size: int,
        stop: Event,
        clock: Callable[[], float],
    ) -> None:
        self._extraction = extraction
        self._embedder = embedder
        self._limits = limits
        self._size = size
        self._stop = stop
        self._clock = clock
        self._done = sink.progress()
        self._abandoned = Event()
        self._queue: queue.Queue[_Draft | BaseException | None] = queue.Queue(maxsize=1)
        self._about = About()
        self._thread = Thread(target=self._run, name="chunker", daemon=True)
        self.chunks_seen = 0
        """Chunks of the whole document; valid once the iteration has ended."""
        self.recognised = 0
        """The last page whose text was recognised from its image; only set by the thread."""

    def __enter__(self) -> "_Drafts":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._abandoned.set()
        if self._thread.is_alive():
            self._extraction.abort()
        self._thread.join()

    def __iter__(self) -> Iterator[_Draft | None]:
        """The batches, and None whenever none is ready yet, so that the caller can do something else."""
        while True:
            try:
                item = self._queue.get(timeout=_POLL_SECONDS)
            except queue.Empty:
                _check(self._stop, self._extraction.what)
                yield None
                continue
            if item is None:
                return
            if isinstance(item, BaseException):
                raise item
            yield item

    def _run(self) -> None:
        """Thread body: puts batches, then None or the error that ended the thread, into the queue."""
        last: BaseException | None = None
        try:
            for draft in self._drafts():
                self._put(draft)
        except _AbandonedError:
            return
        except BaseException as error:  # noqa: BLE001  # raised again in the thread that iterates
            last = error
        with contextlib.suppress(_AbandonedError):
            self._put(last)

    def _put(self, item: "_Draft | BaseException | None") -> None:
        while not self._abandoned.is_set():
            try:
                self._queue.put(item, timeout=_POLL_SECONDS)
                return
            except queue.Full:
                continue
        raise _AbandonedError

    def _drafts(self) -> Iterator[_Draft]:
        read: deque[Page] = deque()
        draft, size, began = _Draft(), min(_FIRST_CHUNKS, self._size), self._clock()
        turned = TurnedPages()
        pages, bookmarks = self._remembered(read, turned), self._extraction.info.outline
        for chunk in map(
            turned.as_displayed, chunk_pages(pages, self._embedder.token_offsets, self._limits, bookmarks=bookmarks)
        ):
            _check(self._stop, self._extraction.what)
            self.chunks_seen += 1
            if chunk.ordinal >= self._done.chunks_done:
                draft.chunks.append((chunk, embedded_text(chunk)))
            self._take(read, chunk.page_last, draft)
            slow = bool(draft.chunks) and self._clock() - began >= _BATCH_SECONDS
            if slow or len(draft.chunks) >= size or len(draft.pages) + len(draft.again) >= _BATCH_PAGES:
                yield draft
                draft, size = _Draft(pages_done=draft.pages_done, about=draft.about), min(2 * size, self._size)
                began = self._clock()
        self._take(read, self._extraction.info.pages, draft)
        if draft.pages or draft.again or draft.chunks:
            yield draft

    def _remembered(self, read: deque[Page], turned: TurnedPages) -> Iterator[Page]:
        """The document's pages, each kept in `read` until a batch takes it."""
        for page in self._extraction:
            _check(self._stop, self._extraction.what)
            read.append(page)
            if page.source == "ocr":
                self.recognised = page.number
            turned.note(page)
            yield page

    def _take(self, read: deque[Page], last: int, draft: _Draft) -> None:
        """Move the pages up to `last` into the batch."""
        while read and read[0].number <= last:
            page = read.popleft()
            self._about = self._about.after(page, self._extraction.info)
            read_so = replace(page, lines=())  # their words, most of a page's memory, are in the chunks
            (draft.pages if page.number > self._done.pages_done else draft.again).append(read_so)
            draft.pages_done = max(page.number, self._done.pages_done)
        draft.about = self._about


class _AbandonedError(Exception):
    """The caller has left the context: batches are no longer taken."""
