"""The parser's process: descriptor 0 is the document, descriptor 1 takes messages, descriptor 2 is stderr.

Forked from a process that has loaded what parsers need (`forkserver_main`), it locks itself in and only then looks at
the document. Its messages: one `info`, one `page` for each page, followed by the pixels of its scan picture if it has
one, then `end`. With a drawing: one `info` and one `image`. An `error` may come at any point. It dies with its parent.

Never import this elsewhere. pymupdf imports layout models, onnxruntime and numpy if they are installed; reading text
needs none of them, so they are hidden from this process (0.10 s and 52 MB to start instead of 0.53 s and 138 MB).
"""

import json
import os
import sys
from array import array
from collections.abc import Mapping
from typing import NoReturn

for _unneeded in ("pymupdf.layout", "pymupdf4llm", "onnxruntime", "numpy", "networkx", "tabulate"):
    sys.modules.setdefault(_unneeded, None)  # type: ignore[arg-type]  # None makes the import fail quickly

from ingest.errors import IngestError, ParserLimit  # noqa: E402
from ingest.parsing import file_type, pdf  # noqa: E402
from ingest.protocol import frames  # noqa: E402
from ingest.sandbox import limits  # noqa: E402  # only after the lines above
from ingest.sandbox.lockdown import claim_stdout, lock_in  # noqa: E402


def load() -> None:
    """Load and run once everything that reading and drawing need: nothing can be opened after the lock-in."""
    file_type.warm_up()
    pdf.warm_up()
    pdf.warm_up_drawing()


def read(arguments: list[str]) -> NoReturn:
    """Read the document, after `load`.

    `arguments`: the limits as JSON; not empty if pictures of scanned pages are wanted; then, to draw one page and read
    none, the drawing as JSON (`page_image.PageDrawing.as_message`).
    """
    bounds = limits.Limits(**json.loads(arguments[0]))
    drawing: pdf.RawPageDrawing | None = json.loads(arguments[2]) if len(arguments) > 2 else None
    output = claim_stdout()
    content = pdf.mapped(0)
    sandbox = lock_in(bounds, output)
    try:
        _serve(output, content, bounds, sandbox, bool(arguments[1]), drawing)
    except BrokenPipeError:
        os._exit(1)
    # There is nothing to clean up, and the exit handlers of libraries would run into the seccomp filter.
    os._exit(0)


def _serve(
    output: int,
    content: memoryview,
    bounds: limits.Limits,
    sandbox: dict[str, int],
    pictures: bool,
    drawing: pdf.RawPageDrawing | None,
) -> None:
    try:
        reader = pdf.PdfReader(content, file_type.kind_of(content))
        info = reader.info(bounds.bookmarks)
        if info["pages"] > bounds.pages:
            raise ParserLimit("", f"it has more than {bounds.pages:,} pages")
        _send(output, {"type": "info", **info, "sandbox": sandbox}, bounds)
        if drawing is not None:
            _send(
                output,
                {"type": "image", **reader.image(drawing)},
                bounds,
                "the image of the page is larger than allowed",
            )
            return
        for page, picture in reader.pages(bounds.picture_pixels if pictures else 0):
            if len(page["text"]) > bounds.page_characters or len(page["starts"]) > bounds.page_words:
                raise ParserLimit("", f"page {page['number']} holds more text than allowed")
            size = array(frames.INTEGERS, [] if picture is None else [picture.width, picture.height, picture.dpi])
            _send(output, {"type": "page", **page, "picture": size}, bounds)
            if picture is not None:
                _write(output, picture.pixels)
        _send(output, {"type": "end"}, bounds)
    except IngestError as error:
        _send(output, {"type": "error", "code": error.code, "why": error.why, "hint": error.hint}, bounds)
    except MemoryError as error:
        found = pdf.translated(error)
        _send(output, {"type": "error", "code": found.code, "why": found.why, "hint": found.hint}, bounds)


def _send(
    output: int,
    message: Mapping[str, object],
    bounds: limits.Limits,
    too_large: str = "a page holds more text than allowed",
) -> None:
    data = frames.encode(message)
    if len(data) > bounds.message_bytes:
        raise ParserLimit("", too_large)
    _write(output, data)


def _write(output: int, data: bytes) -> None:
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(output, rest) :]
