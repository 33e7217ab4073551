"""Tracks the files that one command added, by comparing each document with what it was before.

A replaced document keeps its old state until the service notices the new file, so its state counts only once the
document has changed.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from appliance.cli.shared.document_names import find_document
from appliance.client import Client
from appliance.wire import Document

_COUNT_SECONDS, _COUNT_SHARE = 1.0, 10.0
"""Counting pauses for a second, or for ten times as long as it took: at most a tenth of the time. Chosen by eye."""


@dataclass(frozen=True, slots=True)
class Baseline:
    """The document at a path before the file was added, if there was one."""

    before: Document | None

    @classmethod
    def of(cls, client: Client, path: str) -> "Baseline":
        """Asks the service for the document at `path`."""
        return cls(find_document(client, path))

    def outdated_by(self, document: Document) -> bool:
        """Whether `document` has another time or size than before, or is new."""
        return self.before is None or (document.modified, document.size) != (self.before.modified, self.before.size)

    def done_with(self, document: Document) -> bool:
        """Whether the added file is indexed or has failed."""
        return document.state in ("indexed", "failed") and self.outdated_by(document)


class Tally:
    """Counts how many of the files that one command added are finished.

    The API has no query for just these files, so the whole collection is listed; the slower that is, the less often.
    """

    def __init__(self, collection: str, baselines: Mapping[str, Baseline], clock: Callable[[], float]) -> None:
        self._collection = collection
        self._left = dict(baselines)
        self._clock = clock
        self._next = float("-inf")
        self.total = len(baselines)

    @property
    def done(self) -> int:
        """The number finished at the last count."""
        return self.total - len(self._left)

    def finish(self, path: str) -> None:
        """Marks one file as finished."""
        self._left.pop(path, None)

    def count(self, client: Client) -> None:
        """Counts again, if a count is due."""
        began = self._clock()
        if self.total == 1 or began < self._next:
            return
        for document in client.documents(collection=self._collection):
            baseline = self._left.get(document.document)
            if baseline and baseline.done_with(document):
                self.finish(document.document)
        now = self._clock()
        self._next = now + max(_COUNT_SECONDS, _COUNT_SHARE * (now - began))
