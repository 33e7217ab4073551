"""Stands in for a dry run's child that misbehaves, in the way that the model's file name says."""

import os
import socket
import struct
import sys
import time

from models.child_process.messages import HEADER_BYTES, Load, decode_request, frame_length


def main() -> None:
    line = socket.socket(fileno=int(sys.argv[1]))
    load = decode_request(line.recv(frame_length(line.recv(HEADER_BYTES, socket.MSG_WAITALL)), socket.MSG_WAITALL))
    assert isinstance(load, Load)
    mode = os.path.basename(load.path)
    if mode == "dies":
        sys.stderr.write("last words\n")
        sys.stderr.flush()
        os._exit(7)
    answers = {"nonsense": struct.pack(">I", 4) + b"oops", "huge": struct.pack(">I", 2**31), "silent": b""}
    line.sendall(answers[mode])
    time.sleep(600)


if __name__ == "__main__":
    main()
