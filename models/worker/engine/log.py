"""llama.cpp's log."""

import sys
from functools import cache
from typing import Final

import llama_cpp as llama

_LEVEL_ERROR: Final = 4  # ggml_log_level; 5 continues the line before
_LEVEL_CONTINUED: Final = 5


@cache
def process_log() -> "Log":
    """Returns the one Log of the process. It is never freed, since llama.cpp keeps a bare pointer to its callback."""
    return Log()


class Log:
    """Writes llama.cpp's errors to standard error, and keeps the last ones to explain a failure."""

    def __init__(self) -> None:
        self._errors: list[str] = []
        self._level = 0
        self._callback = llama.llama_log_callback(self._take)
        llama.llama_log_set(self._callback, None)

    def reason(self, otherwise: str) -> str:
        """Returns the errors logged since the last call, at most 500 characters, or `otherwise`."""
        errors = " ".join("".join(self._errors).split())
        self._errors.clear()
        return errors[-500:] or otherwise

    def _take(self, level: int, text: bytes | None, _: object) -> None:
        if level != _LEVEL_CONTINUED:
            self._level = level
        if self._level == _LEVEL_ERROR and text:
            line = text.decode("utf-8", "replace")
            self._errors = [*self._errors[-8:], line]
            sys.stderr.write(line)
            sys.stderr.flush()
