"""The child of a dry run: `python -m models.worker.dry_run SOCKET_FD PARENT_PID`.

Receives one load request, lets llama.cpp go through it without allocating anything, and answers with the memory that the
load would take.

Rule: makes the same calls as a real load and has the same modules in memory, so that its own size is the real child's
without the buffers. Its memory is limited here, its time by the parent.
"""

import contextlib
import os
import socket
import sys
from collections.abc import Iterator
from typing import Final

import llama_cpp as llama

import models.worker.main  # noqa: F401 - for the same size as the real child
from models.child_process.dry_run_messages import Report, encode_report
from models.child_process.messages import HEADER_BYTES, Load, ProtocolError, decode_request, frame_length, path_bytes
from models.errors import ModelLoadFailed
from models.hardware.ram import measure
from models.types import LoadSettings
from models.worker.engine.loading import make_context, model_params
from models.worker.engine.log import process_log
from models.worker.engine.vocabulary import Vocabulary
from models.worker.limits import extra_memory, harden
from models.worker.llama_log import LogNotUnderstood, sizes_in

_MEMORY: Final = 2 * 1024**3  # bytes; a vocabulary of a million entries takes a third of it
_LOG: Final = 4 * 1024**2  # bytes of llama.cpp's log. Chosen by eye.
_LEVEL_ERROR: Final = 4


class _Transcript:
    """Keeps what llama.cpp logs, up to a limit."""

    def __init__(self) -> None:
        process_log()  # first: made later, it would replace this callback
        self.text = ""
        self._chunks: list[bytes] = []
        self._errors: list[bytes] = []
        self._size = 0
        self._callback = llama.llama_log_callback(self._take)
        llama.llama_log_set(self._callback, None)

    @property
    def errors(self) -> str:
        """llama.cpp's error messages, at most 500 characters."""
        return " ".join(b"".join(self._errors).decode("utf-8", "replace").split())[-500:]

    @property
    def lines(self) -> list[str]:
        return b"".join(self._chunks).decode("utf-8", "replace").splitlines()

    def _take(self, level: int, text: bytes | None, _: object) -> None:
        # Graph dumps at debug level are long and not needed here.
        if text and self._size < _LOG and not text.startswith((b"llama_graph", b"create_tensor")):
            self._chunks.append(text)
            self._size += len(text)
            if level == _LEVEL_ERROR:
                self._errors.append(text)
                sys.stderr.write(text.decode("utf-8", "replace"))  # in case of an abort


def dry_run(path: str, settings: LoadSettings, transcript: _Transcript) -> Report:
    """Returns the sizes of the load. Raises ModelLoadFailed or LogNotUnderstood."""
    baseline = _own_bytes()
    llama.llama_backend_init()
    what = "a dry run"
    params = model_params(settings)
    params.no_alloc = True
    params.load_mode = 0  # other modes abort in a dry run
    model = llama.llama_model_load_from_file(path_bytes(path), params)
    if not model:
        raise ModelLoadFailed(what, "llama.cpp refused the model")
    vocabulary = Vocabulary(model)
    _ = vocabulary.chat_template, vocabulary.control
    context = make_context(what, model, settings)
    sizes = sizes_in(transcript.lines)
    report = Report(
        sizes=sizes,
        baseline=baseline,
        # without the two buffers that a dry run allocates too
        process=max(0, _own_bytes() - sizes.state.get("CPU", 0) - sizes.output.get("CPU", 0)),
        offload=bool(llama.llama_supports_gpu_offload()),
    )
    del context, model  # only now, since their memory counts
    return report


def _own_bytes() -> int:
    found = measure(os.getpid())
    return found.private if found else 0


@contextlib.contextmanager
def _limited() -> Iterator[None]:
    """Limits the memory of the process. Not with a GPU, whose driver reserves address space by the terabyte."""
    if llama.llama_supports_gpu_offload():
        yield
        return
    with extra_memory(_MEMORY):
        yield


def _request(connection: socket.socket) -> Load:
    request = decode_request(_exactly(connection, frame_length(_exactly(connection, HEADER_BYTES))))
    if not isinstance(request, Load):
        raise ProtocolError("the request was not to load a model")
    return request


def _exactly(connection: socket.socket, count: int) -> bytes:
    data = b""
    while len(data) < count:
        more = connection.recv(count - len(data))
        if not more:
            raise EOFError
        data += more
    return data


def _answer(request: Load) -> Report:
    transcript = _Transcript()
    try:
        with _limited():
            return dry_run(request.path, request.settings, transcript)
    except ModelLoadFailed as error:
        return Report(why=f"{error.why}: {transcript.errors}")
    except LogNotUnderstood as error:
        return Report(why=str(error))
    except MemoryError:
        return Report(why=f"the dry run itself needs more than {_MEMORY >> 30} GiB")


def main() -> None:
    """Answers one request and ends with status 0."""
    descriptor, parent = map(int, sys.argv[1:3])
    harden(parent)
    connection = socket.socket(fileno=descriptor)
    connection.sendall(encode_report(_answer(_request(connection))))
    os._exit(0)  # skips cleaning up, which nothing here needs


if __name__ == "__main__":
    main()
