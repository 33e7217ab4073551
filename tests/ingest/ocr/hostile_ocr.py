"""Stands in for the recogniser's process and misbehaves in the way that its first argument names."""

import json
import os
import signal
import struct
import sys
import time
from array import array
from pathlib import Path

MARK = Path(sys.argv[3]) / "killed"


def send(message: dict[str, object]) -> None:
    columns = {name: value for name, value in message.items() if isinstance(value, array)}
    described = {name: [column.typecode, len(column)] for name, column in columns.items()}
    head = {name: value for name, value in message.items() if name not in columns} | {"columns": described}
    text = json.dumps(head).encode()
    body = struct.pack(">I", len(text)) + text + b"".join(map(bytes, columns.values()))
    os.write(1, struct.pack(">I", len(body)) + body)


def exactly(size: int) -> bytes:
    data = b""
    while len(data) < size:
        piece = os.read(0, size - len(data))
        if not piece:
            os._exit(0)
        data += piece
    return data


def page(number: int, words: "array[int]") -> dict[str, object]:
    return {
        "type": "page",
        "number": number,
        "turned": 0,
        "confidence": 100,
        "text": "",
        "label": "",
        "size": array("i", [1, 1]),
        "starts": words,
        "damaged": False,
        "scanned": False,
        **{name: array("d") for name in ("boxes", "line_boxes")},
        **{
            name: array("i") for name in ("ends", "line_words", "line_blocks", "line_sizes", "line_bold", "line_marked")
        },
    }


def main(way: str) -> None:
    send({"type": "ready", "version": "0", "sandbox": {}})
    while True:
        request = json.loads(exactly(struct.unpack(">I", exactly(4))[0])[4:])
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
            os.write(1, struct.pack(">II", 7, 3) + b"nul")
        if way == "odd words":
            send(page(request["number"], array("i", [5])))
        if way == "huge":
            os.write(1, struct.pack(">I", 0xFFFFFFFF))
        if way == "error":
            send({"type": "error"})
        if way in ("echo", "killed once"):
            send(page(request["number"], array("i")))


main(sys.argv[1])
