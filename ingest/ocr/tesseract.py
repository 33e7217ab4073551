"""Recognises the words of a picture with Tesseract's C library, its only user: a picture -> a page in columns.

Runs in the recogniser's process (`recogniser_main`), which loads the library and the language data before it locks
itself in. One thread, the neural recogniser alone, and nothing learnt from one page for the next, so that the same
picture always gives the same words.
"""

import ctypes
import html
import os
import re
import statistics
from array import array
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from ingest.ocr.orientation import OrientationReading, read_upright
from ingest.protocol.frames import INTEGERS
from ingest.protocol.page_columns import RawPage, empty_page, hundredths

_LIBRARIES = ("libtesseract.so.5", "libtesseract.so.4")
_NEURAL_ONLY = 1  # OEM_LSTM_ONLY
_AUTOMATIC = 3  # PSM_AUTO
_LEAST_CONFIDENCE = 20
"""Of 100; "words" with less are mostly specks and lines of drawings. Chosen by eye, like the shares below."""
_TELLING_LETTERS = 3
"""Letters from which a word shows the direction of text; a shorter one may be taller than wide though upright."""
_ROW_HEIGHT = 0.92
"""From the top of an ascender to the bottom of a descender, in font sizes; Times has 0.90, Helvetica 0.93."""
_SAME_SIZE = 0.15
"""Measured sizes scatter: within this share of the page's usual size a line gets the usual size."""
_WIDE_GAP = 1.3
"""In font sizes; words farther apart are in different cells, as in the parser's lines."""
_LINE = re.compile(r"<span class='ocr_(?:line|caption|header|textfloat)'[^>]*?title=\"([^\"]*)\"")
_WORD = re.compile(r"<span class='ocrx_word'[^>]*?title='([^']*)'[^>]*>(.*?)</span>\s*(?=<|$)", re.DOTALL)
_PARAGRAPH = re.compile(r"<p class='ocr_par'")
_BOX = re.compile(r"bbox (-?\d+) (-?\d+) (-?\d+) (-?\d+)")
_X_SIZE = re.compile(r"x_size ([\d.]+)")
_CONFIDENCE = re.compile(r"x_wconf (\d+)")
_TAG = re.compile(r"<[^>]*>")


class NotInstalled(Exception):
    """The library, or the data of a language, is not installed."""


@dataclass(slots=True)
class _Found:
    """A line in pixels: its words with their boxes, its row's height as a font size, the number of its paragraph."""

    block: int
    size: float
    words: list[tuple[str, tuple[int, int, int, int]]] = field(default_factory=list)


class Tesseract:
    """Tesseract with its languages loaded. Raises NotInstalled."""

    def __init__(self, languages: Sequence[str], data: str) -> None:
        os.environ["OMP_THREAD_LIMIT"] = "1"
        self._library = _load()
        self._handle = ctypes.c_void_p(self._library.TessBaseAPICreate())
        joined = "+".join(languages)
        if self._library.TessBaseAPIInit2(self._handle, data.encode(), joined.encode(), _NEURAL_ONLY) != 0:
            raise NotInstalled(f"Tesseract has no usable data for {joined} in {data}")
        self._library.TessBaseAPISetPageSegMode(self._handle, _AUTOMATIC)

    @property
    def version(self) -> str:
        """The library's own version string."""
        return bytes(self._library.TessVersion()).decode("ascii", "replace")

    def read(self, pixels: bytes, width: int, height: int, dpi: int, number: int) -> OrientationReading:
        """Recognise a grey picture, one byte a pixel, as page `number`, turned upright if it is not.

        Boxes are in points from the top left.
        """

        def read_once(pixels: bytes, width: int, height: int) -> OrientationReading:
            markup = self._recognise(pixels, width, height, dpi)
            return OrientationReading(as_page(markup, width, height, dpi, number), *_impression(markup))

        return read_upright(read_once, pixels, width, height)

    def _recognise(self, pixels: bytes, width: int, height: int, dpi: int) -> str:
        """The picture's text as hOCR; empty if nothing can be recognised."""
        library = self._library
        library.TessBaseAPISetImage(self._handle, pixels, width, height, 1, width)
        library.TessBaseAPISetSourceResolution(self._handle, dpi)
        try:
            if library.TessBaseAPIRecognize(self._handle, None) != 0:
                return ""
            return self._markup()
        finally:
            library.TessBaseAPIClear(self._handle)

    def _markup(self) -> str:
        pointer = self._library.TessBaseAPIGetHOCRText(self._handle, 0)
        if not pointer:
            return ""
        try:
            return ctypes.string_at(pointer).decode("utf-8", "replace")
        finally:
            self._library.TessDeleteText(pointer)


def as_page(markup: str, width: int, height: int, dpi: int, number: int) -> RawPage:
    """Turn the hOCR of one picture into a page; lines are cut at wide gaps, as the parser's are."""
    points = 72 / dpi
    page = empty_page(number)
    page["damaged"] = False
    page["size"] = array(INTEGERS, [hundredths(width * points), hundredths(height * points)])
    lines = [line for line in _lines(markup) if line.words]
    usual = statistics.median([line.size for line in lines for _ in line.words]) if lines else 0.0
    text: list[str] = []
    position = 0
    for line in lines:
        size = usual if abs(line.size - usual) <= _SAME_SIZE * usual else line.size
        for cell in _cells(line, size):
            _add_line(page, line.block, size * points, [box for _, box in cell], points)
            for word, box in cell:
                page["starts"].append(position)
                page["ends"].append(position + len(word))
                page["boxes"].extend([edge * points for edge in box])
                position += len(word) + 1
            text.append(" ".join(word for word, _ in cell) + "\n")
    page["text"] = "".join(text)
    return page


def _impression(markup: str) -> tuple[int, int, bool]:
    """The number of letters in hOCR, the mean confidence in them (of 100), and whether most lie on their side."""
    letters = weighted = sideways = 0
    for title, content in _WORD.findall(markup):
        word, box, confidence = _word_of(content), _BOX.search(title), _CONFIDENCE.search(title)
        if box is None or confidence is None:
            continue
        letters += len(word)
        weighted += len(word) * int(confidence[1])
        if len(word) >= _TELLING_LETTERS:
            tall = int(box[4]) - int(box[2]) > int(box[3]) - int(box[1])
            sideways += len(word) if tall else -len(word)
    return letters, round(weighted / letters) if letters else 100, sideways > 0


def _lines(markup: str) -> Iterator[_Found]:
    """The lines of hOCR in its own order, which is the reading order."""
    marks = sorted(
        [(match.start(), "paragraph", match) for match in _PARAGRAPH.finditer(markup)]
        + [(match.start(), "line", match) for match in _LINE.finditer(markup)]
        + [(match.start(), "word", match) for match in _WORD.finditer(markup)],
        key=lambda mark: mark[0],
    )
    block = 0
    line: _Found | None = None
    for _, kind, match in marks:
        if kind == "paragraph":
            block += 1
        elif kind == "line":
            if line is not None:
                yield line
            line = _Found(block, _row_height(match[1]))
        elif line is not None:
            _add_word(line, match[1], match[2])
    if line is not None:
        yield line


def _add_word(line: _Found, title: str, content: str) -> None:
    box, confidence = _BOX.search(title), _CONFIDENCE.search(title)
    word = _word_of(content)
    if box is None or not word or (confidence is not None and int(confidence[1]) < _LEAST_CONFIDENCE):
        return
    line.words.append((word, (int(box[1]), int(box[2]), int(box[3]), int(box[4]))))


def _word_of(content: str) -> str:
    return "".join(html.unescape(_TAG.sub("", content)).split())


def _row_height(title: str) -> float:
    """The height of a line in pixels, as a font size."""
    size, box = _X_SIZE.search(title), _BOX.search(title)
    if size is not None:
        return float(size[1]) / _ROW_HEIGHT
    return float(int(box[4]) - int(box[2])) if box else 0.0


def _cells(line: _Found, size: float) -> Iterator[list[tuple[str, tuple[int, int, int, int]]]]:
    cell: list[tuple[str, tuple[int, int, int, int]]] = []
    for word, box in line.words:
        if cell and box[0] - cell[-1][1][2] > _WIDE_GAP * size:
            yield cell
            cell = []
        cell.append((word, box))
    if cell:
        yield cell


def _add_line(page: RawPage, block: int, size: float, boxes: list[tuple[int, int, int, int]], points: float) -> None:
    page["line_words"].append(len(boxes))
    page["line_blocks"].append(block)
    page["line_sizes"].append(hundredths(round(size * 2) / 2))
    page["line_bold"].append(0)
    page["line_marked"].append(0)
    edges = (min(b[0] for b in boxes), min(b[1] for b in boxes), max(b[2] for b in boxes), max(b[3] for b in boxes))
    page["line_boxes"].extend([edge * points for edge in edges])


def _load() -> ctypes.CDLL:
    for name in _LIBRARIES:
        try:
            library = ctypes.CDLL(name)
        except OSError:
            continue
        _declare(library)
        return library
    raise NotInstalled("Tesseract's library is not installed")


def _declare(library: ctypes.CDLL) -> None:
    handle, text, number = ctypes.c_void_p, ctypes.c_char_p, ctypes.c_int
    for name, result, arguments in (
        ("TessVersion", text, ()),
        ("TessBaseAPICreate", handle, ()),
        ("TessBaseAPIInit2", number, (handle, text, text, number)),
        ("TessBaseAPISetPageSegMode", None, (handle, number)),
        ("TessBaseAPISetImage", None, (handle, text, number, number, number, number)),
        ("TessBaseAPISetSourceResolution", None, (handle, number)),
        ("TessBaseAPIRecognize", number, (handle, ctypes.c_void_p)),
        ("TessBaseAPIGetHOCRText", ctypes.c_void_p, (handle, number)),
        ("TessBaseAPIClear", None, (handle,)),
        ("TessDeleteText", None, (ctypes.c_void_p,)),
    ):
        function = getattr(library, name)
        function.restype, function.argtypes = result, list(arguments)
