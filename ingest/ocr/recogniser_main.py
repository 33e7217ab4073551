"""The recogniser's process: descriptor 0 brings pictures, descriptor 1 takes messages, descriptor 2 is stderr.

Started by `recogniser` with exec. It loads the library and the languages, locks itself in, sends `ready`, and answers
each picture with one `page`. It dies with its parent.
"""

import os

from ingest.ocr.tesseract import NotInstalled, Tesseract
from ingest.protocol import frames
from ingest.sandbox import limits
from ingest.sandbox.lockdown import claim_stdout, lock_in

_FOREVER = 10 * 365 * 86_400.0  # seconds: the parent limits each page, and nothing limits all pages together
_WARM_UP = (64, 64)


def main(arguments: list[str]) -> None:
    """`arguments`: the parent's process id, the folder of the language data, the languages joined by "+", the memory in
    bytes, the niceness."""
    _, data, languages, memory, niceness = arguments
    output = claim_stdout()
    os.nice(int(niceness))
    try:
        engine = Tesseract(languages.split("+"), data)
    except NotInstalled as error:
        _send(output, {"type": "missing", "why": str(error)})
        os._exit(0)
    width, height = _WARM_UP
    engine.read(b"\xff" * width * height, width, height, 70, 1)
    bounds = limits.Limits(memory_bytes=int(memory), document_seconds=_FOREVER)
    sandbox = lock_in(bounds, output)
    _send(output, {"type": "ready", "version": engine.version, "sandbox": sandbox})
    try:
        while _answer_one(engine, output):
            pass
    except BrokenPipeError:
        os._exit(1)
    os._exit(0)  # the exit handlers of libraries would run into the seccomp filter


def _answer_one(engine: Tesseract, output: int) -> bool:
    head = _read(frames.HEADER.size)
    if head is None:
        return False
    request = frames.decode(_exactly(frames.HEADER.unpack(head)[0]))
    number, width, height, dpi = (int(str(request[key])) for key in ("number", "width", "height", "dpi"))
    pixels = _exactly(width * height)
    try:
        found = engine.read(pixels, width, height, dpi, number)
    except MemoryError:
        _send(output, {"type": "error"})
        return True
    _send(output, {"type": "page", "turned": found.turned, "confidence": found.confidence, **found.page})
    return True


def _exactly(size: int) -> bytes:
    data = _read(size)
    if data is None:
        os._exit(0)
    return data


def _read(size: int) -> bytes | None:
    """Read `size` bytes from descriptor 0; None where it ends before."""
    data = bytearray()
    while len(data) < size:
        piece = os.read(0, size - len(data))
        if not piece:
            return None
        data += piece
    return bytes(data)


def _send(output: int, message: dict[str, object]) -> None:
    data = memoryview(frames.encode(message))
    while data:
        data = data[os.write(output, data) :]
