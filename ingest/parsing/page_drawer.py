"""Draws one page of one file of the library as a PNG, in the parser's sandbox.

Joins `opened_file` and `extraction`: the file is hashed through the descriptor that the parser gets, so the image shows
the indexed content or none.
"""

from collections.abc import Sequence
from dataclasses import replace
from threading import Event

from ingest.errors import FileChanged
from ingest.parsing.extraction import open_extraction
from ingest.parsing.forkserver import PARSERS
from ingest.parsing.opened_file import open_file
from ingest.protocol.page_image import PageDrawing
from ingest.sandbox.launch import Starter
from ingest.sandbox.limits import MIB, Limits
from ingest.types import Box, PageImage

_MESSAGE_BYTES = 48 * MIB
CHANGED_HINT = "wait until the new version has been indexed, then try again"


class PageDrawer:
    """Draws pages of files below one folder.

    The whole drawing has the deadline of one page, by the clock as well, because a person is waiting.
    """

    def __init__(self, root: bytes, limits: Limits, start: Starter = PARSERS.start) -> None:
        self._root = root
        self._limits = replace(limits, document_seconds=limits.page_seconds, patience=1, message_bytes=_MESSAGE_BYTES)
        self._start = start

    def draw(self, path: bytes, sha256: str, number: int, dpi: int, boxes: Sequence[Box], stop: Event) -> PageImage:
        """Draw page `number` of the file at `path`, relative to the folder, provided its content has the hash `sha256`.

        `boxes` are marked. Raises FileChanged if the content has another hash, and the errors of `open_file` and
        `open_extraction`.
        """
        drawing = PageDrawing(number, dpi, tuple(boxes))
        with open_file(path, beneath=self._root) as file:
            if file.sha256(stop) != sha256:
                raise FileChanged(file.what, "its content is not the one that was indexed", CHANGED_HINT)
            with open_extraction(file, self._limits, stop=stop, start=self._start, drawing=drawing) as extraction:
                return extraction.image()
