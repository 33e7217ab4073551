"""One page of one file of the library, drawn in the parser's sandbox: the ways of `identity` and `sandbox` joined."""

from collections.abc import Sequence
from dataclasses import replace
from threading import Event

from ingest.errors import FileChanged
from ingest.parsing.extraction import open_extraction
from ingest.parsing.forkserver import PARSERS
from ingest.parsing.opened_file import open_file
from ingest.protocol.page_image import Drawing
from ingest.sandbox.launch import Starter
from ingest.sandbox.limits import MIB, Limits
from ingest.types import Box, PageImage

_MESSAGE_BYTES = 48 * MIB
CHANGED_HINT = "its new content is read as soon as it has settled; ask again then"


class PageDrawer:
    """Opens files below one folder for drawing; the deadline for one page is that for all of it, by the clock as well:
    somebody is waiting."""

    def __init__(self, root: bytes, limits: Limits, start: Starter = PARSERS.start) -> None:
        self._root = root
        self._limits = replace(limits, document_seconds=limits.page_seconds, patience=1, message_bytes=_MESSAGE_BYTES)
        self._start = start

    def draw(self, path: bytes, sha256: str, number: int, dpi: int, boxes: Sequence[Box], stop: Event) -> PageImage:
        """Draw a page of the file at `path`, relative to the folder, provided that its content has this hash.

        Raises FileChanged where it has another, and whatever `open_file` and `open_extraction` do.
        """
        drawing = Drawing(number, dpi, tuple(boxes))
        with open_file(path, beneath=self._root) as file:
            if file.sha256(stop) != sha256:
                raise FileChanged(file.what, "its content is not the one that was indexed", CHANGED_HINT)
            with open_extraction(file, self._limits, stop=stop, start=self._start, drawing=drawing) as extraction:
                return extraction.image()
