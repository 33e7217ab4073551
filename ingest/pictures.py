"""Pages as pictures: what is asked of the parser's process, and what it sent, trusting nothing."""

import base64
import binascii
from collections.abc import Mapping
from dataclasses import dataclass

from ingest.frames import ProtocolError
from ingest.pages import integer, text_of
from ingest.png import check_png
from ingest.types import Box, PageImage

MOST_BOXES = 1000
_MOST_SIDE = 1_000_000
_MOST_PNG = 64 << 20


@dataclass(frozen=True, slots=True)
class Picture:
    """A page to be drawn: at most so many dots an inch, with these boxes marked."""

    page: int
    dpi: int
    boxes: tuple[Box, ...] = ()

    def as_message(self) -> dict[str, object]:
        """As it travels to the parser's process; boxes beyond MOST_BOXES would be no highlight any more."""
        if len(self.boxes) > MOST_BOXES:
            raise ValueError(f"more than {MOST_BOXES} boxes")
        boxes = [round(100 * value) for box in self.boxes for value in box]
        return {"page": self.page, "dpi": self.dpi, "boxes": boxes}


def decode_image(message: Mapping[str, object]) -> PageImage:
    """The picture. Raises ProtocolError."""
    width, height = integer(message, "width", 1, _MOST_SIDE), integer(message, "height", 1, _MOST_SIDE)
    dpi = integer(message, "dpi", 1, _MOST_SIDE)
    try:
        png = base64.b64decode(text_of(message, "png", _MOST_PNG), validate=True)
    except (ValueError, binascii.Error) as error:
        raise ProtocolError("png: not base 64") from error
    check_png(png, width, height)
    return PageImage(png, width, height, dpi)
