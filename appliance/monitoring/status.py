"""Gives the service's status, also as Prometheus metrics.

Counts are read from the store on each call: nothing is counted twice, so nothing can drift.
"""

from collections.abc import Callable, Iterator

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from appliance import __version__, wire
from appliance.monitoring.progress import ReadingPace
from appliance.store import Store


class Monitor:
    """Reads the service's state; thread-safe, blocking."""

    def __init__(
        self,
        store: Store,
        unsettled: Callable[[], int],
        loaded: Callable[[], list[str]],
        embedding: Callable[[], wire.Embedding],
        pace: ReadingPace,
        library_there: Callable[[], bool],
    ) -> None:
        self._store = store
        self._pace = pace
        self._unsettled = unsettled
        self._loaded = loaded
        self._embedding = embedding
        self._library_there = library_there
        self.ready = False
        """Set by the composition root: true from the end of the start to the beginning of the stop."""

    def status(self, collections: frozenset[bytes] | None = None) -> wire.Status:
        """The status of the given collections (None: all); `queue` includes unsettled files."""
        counts = wire.DocumentCounts.model_validate(self._store.counts(collections))
        skipped = self._store.skipped(collections)
        busy = counts.pending + counts.indexing > 0
        return wire.Status(
            ready=self.ready,
            documents=counts,
            chunks=self._store.chunk_count(collections),
            queue=counts.pending + counts.indexing + self._unsettled(),
            models_loaded=self._loaded(),
            version=__version__,
            progress=self._pace.overall(self._store.work_left(collections), collections) if busy else None,
            embedding=self._embedding(),
            skipped=wire.Skipped(documents=skipped.documents, pages=skipped.pages),
            library_away=not self._library_there(),
        )

    def metrics(self, collections: frozenset[bytes] | None = None) -> bytes:
        """The same in Prometheus' text format."""
        registry = CollectorRegistry()
        registry.register(_Gauges(self.status(collections)))
        return generate_latest(registry)


class _Gauges(Collector):
    def __init__(self, status: wire.Status) -> None:
        self._status = status

    def collect(self) -> Iterator[Metric]:
        status = self._status
        documents = GaugeMetricFamily("docent_documents", "Documents by state.", labels=["state"])
        for state, count in status.documents.model_dump().items():
            documents.add_metric([state], count)
        yield documents
        yield GaugeMetricFamily("docent_chunks", "Searchable passages.", value=status.chunks)
        yield GaugeMetricFamily("docent_pages_skipped", "Pages that could not be read.", value=status.skipped.pages)
        yield GaugeMetricFamily("docent_queue", "Files not yet read, unsettled ones included.", value=status.queue)
        progress = status.progress or wire.Progress(pages_done=0, pages_total=0)
        left, rate = progress.pages_total - progress.pages_done, progress.pages_per_second or 0.0
        yield GaugeMetricFamily("docent_pages_left", "Pages of the queued files, as far as known.", value=left)
        yield GaugeMetricFamily("docent_pages_per_second", "Pages read a second, over the last minute.", value=rate)
        yield GaugeMetricFamily("docent_models_loaded", "Models in memory.", value=len(status.models_loaded))
        if status.embedding:
            left = status.embedding.total - status.embedding.done
            yield GaugeMetricFamily("docent_embedding_left", "Passages to embed with the next model.", value=left)
        there = int(not status.library_away)
        yield GaugeMetricFamily("docent_library_there", "0 while the library is not available.", value=there)
        yield GaugeMetricFamily("docent_ready", "1 while the service takes work.", value=int(status.ready))

    def describe(self) -> Iterator[Metric]:
        """No names at registration: the values are collected only on request."""
        return iter(())
