"""Stands in for the recogniser's process and misbehaves in the way its first argument names."""

import json
import os
import signal
import struct
import sys
import time
from pathlib import Path

MARK = Path(sys.argv[3]) / "killed"


def send(message: object) -> None:
    body = json.dumps(message).encode()
    os.write(1, struct.pack(">I", len(body)) + body)


def exactly(size: int) -> bytes:
    data = b""
    while len(data) < size:
        piece = os.read(0, size - len(data))
        if not piece:
            os._exit(0)
        data += piece
    return data


def page(number: int, words: object) -> dict[str, object]:
    columns = ("boxes", "line_words", "line_boxes", "line_blocks", "line_sizes", "line_bold", "line_marked")
    return {
        "type": "page",
        "number": number,
        "text": "",
        "label": "",
        "size": [1, 1],
        "starts": words,
        "ends": [],
        "damaged": False,
        "scanned": False,
        **{name: [] for name in columns},
    }


def main(way: str) -> None:
    send({"type": "ready", "version": "0", "sandbox": {}})
    while True:
        request = json.loads(exactly(struct.unpack(">I", exactly(4))[0]))
        if way == "dies":
            os._exit(3)
        exactly(request["width"] * request["height"])
        if way == "killed" or (way == "killed once" and not MARK.exists()):
            MARK.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        if way == "spinning":
            while True:
                pass
        if way == "silent":
            time.sleep(600)
        if way == "nonsense":
            os.write(1, struct.pack(">I", 3) + b"nul")
        if way == "odd words":
            send(page(request["number"], [5]))
        if way == "huge":
            os.write(1, struct.pack(">I", 0xFFFFFFFF))
        if way == "error":
            send({"type": "error"})
        if way in ("echo", "killed once"):
            send(page(request["number"], []))


main(sys.argv[1])
