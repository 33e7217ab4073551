"""Stands in for the parser's process and misbehaves in the way its first argument names."""

import base64
import json
import os
import signal
import struct
import sys
import time

INFO = {
    "type": "info",
    "pages": 2,
    "title": "t",
    "author": "",
    "created": "",
    "modified": "",
    "language": "",
    "outline_titles": [],
    "outline_levels": [],
    "outline_pages": [],
    "sandbox": {},
}
PAGE = {
    "type": "page",
    "number": 1,
    "text": "one two",
    "label": "",
    "size": [59500, 84200],
    "starts": [0, 4],
    "ends": [3, 7],
    "boxes": [0, 0, 10, 10, 20, 0, 30, 10],
    "line_words": [2],
    "line_boxes": [0, 0, 30, 10],
    "line_blocks": [0],
    "line_sizes": [1100],
    "line_bold": [0],
    "line_marked": [0],
    "damaged": False,
    "scanned": False,
}


def send(message: object) -> None:
    body = json.dumps(message).encode()
    os.write(1, struct.pack(">I", len(body)) + body)


def main(way: str) -> None:
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
        os.write(1, struct.pack(">I", 4) + b"\x80\x04K\x01")
        time.sleep(600)
    if way == "deep":
        body = b"[" * 100_000
        os.write(1, struct.pack(">I", len(body)) + body)
        time.sleep(600)
    if way == "error":
        send({"type": "error", "code": "made_up", "why": "evil\x1b[2J\nwhy", "hint": ["no text"]})
        time.sleep(600)
    send(INFO)
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
    time.sleep(600)


main(sys.argv[1])
