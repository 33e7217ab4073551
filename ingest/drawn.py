"""Pages as pictures: what is asked of the parser's process, and what it sent, trusting nothing."""

import base64
from collections.abc import Mapping
from dataclasses import dataclass

from ingest.frames import ProtocolError
from ingest.png import check_png
from ingest.types import Box, PageImage

MOST_BOXES = 1000
_MOST_SIDE = 1_000_000


@dataclass(frozen=True, slots=True)
class Drawing:
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
    width, height, dpi = (_size(message.get(key)) for key in ("width", "height", "dpi"))
    packed = message.get("png")
    if not isinstance(packed, str):
        raise ProtocolError("png: not a text")
    try:
        png = base64.b64decode(packed, validate=True)
    except ValueError as error:
        raise ProtocolError("png: not base 64") from error
    check_png(png, width, height)
    return PageImage(png, width, height, dpi)


def _size(value: object) -> int:
    if type(value) is not int or not 1 <= value <= _MOST_SIDE:
        raise ProtocolError("a picture's size that is none")
    return value
