"""Real servers in processes of their own, on Unix sockets, each generating with llama.cpp from a tiny GGUF."""

import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.live import wait_until

ROOT = Path(__file__).resolve().parents[3]
KEY = "a-secret-key"

LLAMA_CPP_SERVER = """
import sys
import uvicorn
from llama_cpp.server.app import create_app
from llama_cpp.server.settings import ModelSettings, ServerSettings
model = ModelSettings(model=sys.argv[1], model_alias="tiny", n_ctx=4096, n_threads=1, chat_format="chatml", verbose=False)
app = create_app(server_settings=ServerSettings(api_key=sys.argv[3] or None), model_settings=[model])
uvicorn.run(app, uds=sys.argv[2], log_level="warning")
"""
"""llama-cpp-python's own server, on a socket instead of a port."""


@contextmanager
def openai_server(model: Path, place: Path, key: str = "") -> Iterator["subprocess.Popen[bytes]"]:
    """llama-cpp-python's server."""
    with _serving([sys.executable, "-c", LLAMA_CPP_SERVER, str(model), str(place), key], place) as process:
        yield process


@contextmanager
def ollama_server(model: Path, place: Path) -> Iterator["subprocess.Popen[bytes]"]:
    """The stand-in of `ollama_server.py`, which has the model `tiny`."""
    program = str(Path(__file__).with_name("ollama_server.py"))
    with _serving([sys.executable, program, str(model), str(place)], place) as process:
        yield process


@contextmanager
def _serving(command: list[str], place: Path) -> Iterator["subprocess.Popen[bytes]"]:
    log = place.with_suffix(".log")
    with log.open("wb") as output:
        process = subprocess.Popen(command, cwd=ROOT, stdout=output, stderr=output)
    try:
        wait_until(lambda: process.poll() is not None or _answers(place), f"{command[1]} to answer")
        assert process.poll() is None, log.read_text()[-2000:]
        yield process
    finally:
        process.kill()
        process.wait()
        place.unlink(missing_ok=True)


def _answers(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as client:
        return client.connect_ex(str(path)) == 0
