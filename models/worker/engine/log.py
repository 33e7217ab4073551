"""llama.cpp's log: errors go to standard error, and the last of them explain a failure."""

import sys
from functools import cache
from typing import Final

import llama_cpp as llama

_LEVEL_ERROR: Final = 4  # ggml_log_level; 5 continues the line before
_LEVEL_CONTINUED: Final = 5


@cache
def process_log() -> "Log":
    """llama.cpp has one log for the whole process and keeps a bare pointer to its taker: one, for ever."""
    return Log()


class Log:
    """Takes llama.cpp's log: errors go to standard error, and the last of them explain a failure."""

    def __init__(self) -> None:
        self._errors: list[str] = []
        self._level = 0
        self._callback = llama.llama_log_callback(self._take)
        llama.llama_log_set(self._callback, None)

    def reason(self, otherwise: str) -> str:
        """What was logged as errors since the last call, or `otherwise`."""
        said = " ".join("".join(self._errors).split())
        self._errors.clear()
        return said[-500:] or otherwise

    def _take(self, level: int, text: bytes | None, _: object) -> None:
        if level != _LEVEL_CONTINUED:
            self._level = level
        if self._level == _LEVEL_ERROR and text:
            line = text.decode("utf-8", "replace")
            self._errors = [*self._errors[-8:], line]
            sys.stderr.write(line)
            sys.stderr.flush()
