"""What became of the files that one command added, told from what was there before them.

A replaced document keeps its old state until the service has noticed the new file, so a state says something only once
the document differs from what it was.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from appliance.cli.shared.document_names import find_document
from appliance.client import Client
from appliance.wire import Document

_COUNT_SECONDS, _COUNT_SHARE = 1.0, 10.0


@dataclass(frozen=True, slots=True)
class Baseline:
    """The document of this path before it was added, if there was one."""

    before: Document | None

    @classmethod
    def of(cls, client: Client, path: str) -> "Baseline":
        """What the service knows of `path` now."""
        return cls(find_document(client, path))

    def outdated_by(self, document: Document) -> bool:
        """Whether `document` is newer than this."""
        return self.before is None or (document.modified, document.size) != (self.before.modified, self.before.size)

    def done_with(self, document: Document) -> bool:
        """Whether what was added is indexed or has failed."""
        return document.state in ("indexed", "failed") and self.outdated_by(document)


class Tally:
    """How many of the files that one command added are done with.

    The service has no question for just these: the list of their collection answers it, asked less often the longer it
    takes.
    """

    def __init__(self, collection: str, baselines: Mapping[str, Baseline], clock: Callable[[], float]) -> None:
        self._collection = collection
        self._left = dict(baselines)
        self._clock = clock
        self._next = float("-inf")
        self.total = len(baselines)

    @property
    def done(self) -> int:
        """So many, when they were last counted."""
        return self.total - len(self._left)

    def finish(self, path: str) -> None:
        """This one is done with."""
        self._left.pop(path, None)

    def count(self, client: Client) -> None:
        """Look which others are, if it is time to."""
        began = self._clock()
        if self.total == 1 or began < self._next:
            return
        for document in client.documents(collection=self._collection):
            baseline = self._left.get(document.document)
            if baseline and baseline.done_with(document):
                self.finish(document.document)
        now = self._clock()
        self._next = now + max(_COUNT_SECONDS, _COUNT_SHARE * (now - began))
