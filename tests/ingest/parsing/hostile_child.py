"""Stands in for the parser's process and misbehaves in the way that its first argument names."""

import base64
import json
import os
import signal
import struct
import sys
import time
from array import array

INFO = {
    "type": "info",
    "pages": 2,
    "title": "t",
    "author": "",
    "created": "",
    "modified": "",
    "language": "",
    "outline_titles": [],
    "outline_levels": array("i"),
    "outline_pages": array("i"),
    "sandbox": {},
}
PAGE = {
    "type": "page",
    "number": 1,
    "text": "one two",
    "label": "",
    "size": array("i", [59500, 84200]),
    "starts": array("i", [0, 4]),
    "ends": array("i", [3, 7]),
    "boxes": array("d", [0, 0, 10, 10, 20, 0, 30, 10]),
    "line_words": array("i", [2]),
    "line_boxes": array("d", [0, 0, 30, 10]),
    "line_blocks": array("i", [0]),
    "line_sizes": array("i", [1100]),
    "line_bold": array("i", [0]),
    "line_marked": array("i", [0]),
    "damaged": False,
    "scanned": False,
}


def send(message: dict[str, object]) -> None:
    columns = {name: value for name, value in message.items() if isinstance(value, array)}
    described = {name: [column.typecode, len(column)] for name, column in columns.items()}
    head = {name: value for name, value in message.items() if name not in columns} | {"columns": described}
    send_text(json.dumps(head).encode(), b"".join(map(bytes, columns.values())))


def send_text(text: bytes, columns: bytes = b"") -> None:
    body = struct.pack(">I", len(text)) + text + columns
    os.write(1, struct.pack(">I", len(body)) + body)


def begin(way: str) -> None:
    """Misbehave before anything is known of the document."""
    if way == "silent":
        time.sleep(600)
    if way == "busy":
        while True:
            pass
    if way == "complaining":
        os.set_blocking(2, False)
        try:
            while True:
                os.write(2, b"x" * 65536)
        except BlockingIOError:
            os._exit(3)
    if way == "huge":
        os.write(1, struct.pack(">I", 0xFFFFFFFF))
        time.sleep(600)
    if way == "half":
        os.write(1, struct.pack(">I", 100) + b"{")
        os._exit(0)
    if way == "text":
        send_text(b"\x80\x04K\x01")
        time.sleep(600)
    if way == "deep":
        send_text(b"[" * 100_000)
        time.sleep(600)
    if way == "error":
        send({"type": "error", "code": "made_up", "why": "evil\x1b[2J\nwhy", "hint": ["no text"]})
        time.sleep(600)


def go_on(way: str) -> None:
    """Misbehave after the document's facts were sent."""
    if way == "dripping":
        os.write(1, struct.pack(">I", 5000))
        while True:
            os.write(1, b" ")
            time.sleep(0.05)
    image = {"type": "image", "width": 1, "height": 1, "dpi": 72, "png": base64.b64encode(b"no picture").decode()}
    if way == "not an image":
        send(image)
    if way == "another size":
        send({**image, "width": -1})
    if way == "no base 64":
        send({**image, "png": "\u00e9!"})
    if way == "a page instead":
        send(PAGE)
    if way == "killed":
        os.kill(os.getpid(), signal.SIGSEGV)
    if way == "out of memory":
        os.kill(os.getpid(), signal.SIGKILL)
    if way == "wrong page":
        send({**PAGE, "number": 2})
    if way == "ends early":
        send({"type": "end"})


for number in (signal.SIGHUP, signal.SIGINT):  # ignored where the tests run in the background
    signal.signal(number, signal.SIG_DFL)
begin(sys.argv[1])
send(INFO)
go_on(sys.argv[1])
time.sleep(600)
