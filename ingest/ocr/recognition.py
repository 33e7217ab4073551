"""Decides what happens to a document's pages without text: recognised, or skipped with the reason."""

from dataclasses import replace
from threading import Event

from ingest.ocr.orientation import CONFIDENT
from ingest.ocr.recogniser import Ocr, OcrFailed, Recogniser, ScanPicture, packages
from ingest.protocol.frames import ProtocolError
from ingest.protocol.page_decoder import decode_certainty, decode_page
from ingest.sandbox.limits import Limits
from ingest.types import Page

OFF = "text recognition is switched off"
EMPTY_HINT = "its pages are empty; if they should not be, save it again with the program that made it"
NOTHING_HINT = "text recognition found no text on its pages; a sharper scan may help"
OFF_HINT = 'set ocr = "auto" in [ingest], restart the service, then run `docent documents retry`'
FAILED_HINT = "check text recognition with `docent doctor`, then run `docent documents retry`"
DOUBTFUL = (
    "recognised with little confidence, perhaps handwriting, a drawing or a blurred scan: much of it may be wrong"
)
UNSEEN = "it cannot be rendered for text recognition: it is damaged or too large"


class Recognition:
    """The text recognition of one document; belongs to the thread that reads its pages."""

    def __init__(self, ocr: Ocr | None, limits: Limits, stop: Event) -> None:
        self._limits = limits
        self._languages = ocr.settings.languages if ocr else ()
        self._missing = ocr.missing() if ocr else ()
        self._recogniser: Recogniser | None = None
        if ocr is not None and not self._missing:
            self._recogniser = ocr.recogniser(limits, stop)
        self.skipped_pages = 0
        self.seen_pages = 0
        """Number of pages whose pictures were looked at."""

    @property
    def is_possible(self) -> bool:
        """Whether pages can be recognised, so that their pictures are needed."""
        return self._recogniser is not None

    @property
    def hint(self) -> str:
        """What to do about a document in which no page gave text."""
        if self._recogniser is not None:
            if self.skipped_pages:
                return FAILED_HINT
            return NOTHING_HINT if self.seen_pages else EMPTY_HINT
        if not self._missing:
            return OFF_HINT
        return f"run `sudo apt-get install {packages(self._languages)}`, then `docent documents retry`"

    @property
    def why_not(self) -> str:
        """Why no page can be recognised."""
        if not self._missing:
            return OFF
        return f"text recognition has no language data for {', '.join(self._missing)}"

    def read(self, page: Page, picture: ScanPicture) -> Page:
        """The page with the words recognised in its picture, unless its own text has more words."""
        assert self._recogniser is not None
        self.seen_pages += 1
        try:
            message = self._recogniser.read(picture)
            found = decode_page(message, page.number, self._limits)
            turned, confidence = decode_certainty(message)
        except OcrFailed as error:
            return self._skipped(page, str(error))
        except ProtocolError:
            self._recogniser.close()
            return self._skipped(page, "text recognition sent an invalid reply")
        if _words(found) < _words(page):
            return replace(page, source="text")
        return replace(
            found,
            width=page.width,
            height=page.height,
            label=page.label,
            source="ocr",
            warning=page.warning or (DOUBTFUL if confidence < CONFIDENT else ""),
            turned=turned,
        )

    def skipped(self, page: Page) -> Page:
        """A page that shows something but has no picture, marked as skipped with the reason."""
        return self._skipped(page, UNSEEN if self.is_possible else self.why_not)

    def abort(self) -> None:
        """End a wait for recognition, from any thread."""
        if self._recogniser is not None:
            self._recogniser.abort()

    def close(self) -> None:
        """End the recogniser's process."""
        if self._recogniser is not None:
            self._recogniser.close()

    def _skipped(self, page: Page, why: str) -> Page:
        self.skipped_pages += 1
        return replace(page, source="skipped", warning=page.warning or why)


def _words(page: Page) -> int:
    return sum(len(line.words) for line in page.lines)
