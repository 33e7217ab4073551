"""A hostile stand-in for a model's child: answers the load as the last part of the model's path names it."""

import os
import signal
import socket
import struct
import subprocess
import sys
import time

from models.child_process.messages import (
    HEADER_BYTES,
    Counted,
    Load,
    Loaded,
    Started,
    Text,
    Trimmed,
    decode_request,
    encode,
    frame_length,
)


def read(line: socket.socket) -> bytes:
    body = b""
    length = frame_length(line.recv(HEADER_BYTES, socket.MSG_WAITALL))
    while len(body) < length:
        body += line.recv(length - len(body))
    return body


def main() -> None:
    line = socket.socket(fileno=int(sys.argv[1]))
    load = decode_request(read(line))
    assert isinstance(load, Load)
    mode = os.path.basename(load.path)
    context = 10**9 if mode == "boasts" else load.settings.context
    loaded = encode(Loaded(context=context, template="gguf", system_role="native", seconds=0.0))
    first = {
        "nonsense": struct.pack(">I", 4) + b"oops",
        "huge": struct.pack(">I", 2**32 - 1),
        "silent": b"",
        "twice": loaded + loaded,
    }
    sys.stderr.write("\x1b[31mlast words\x07\n" * 100_000)
    sys.stderr.flush()
    if mode == "aborts":  # as llama.cpp does where an assertion fails
        os.abort()
    line.sendall(first.get(mode, loaded))
    if mode == "illegal":  # as code does that was compiled for another processor
        os.kill(os.getpid(), signal.SIGILL)
    if mode == "dies":
        os._exit(7)
    answers = {"mistakes": Counted(id=1, tokens=5), "ends early": Trimmed(id=1, adapters=0, cache=0)}
    if mode in answers:
        read(line)
        line.sendall(encode(answers[mode]))
    if mode == "leaves":
        left = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])  # holds standard error open
        sys.stderr.write(f"it left {left.pid}\n")
        sys.stderr.flush()
        os._exit(0)
    if mode == "floods":
        read(line)
        line.sendall(encode(Started(id=1, prompt_tokens=1)))
        while True:
            line.sendall(encode(Text(id=1, text="x" * 1000)) + encode(Text(id=77, text="of no request")))
    time.sleep(60)


if __name__ == "__main__":
    main()
