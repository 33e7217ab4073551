"""Runs a process of the test's own in place of the parser's."""

import contextlib
import subprocess
from collections.abc import Sequence

from ingest.sandbox import launch


class Executed:
    """A process started by exec. It belongs to the thread that started it: the kernel kills it when that ends."""

    def __init__(self, command: Sequence[str], arguments: Sequence[str], document: int) -> None:
        self._process = launch.start(command, arguments, document)
        assert self._process.stdout is not None
        self.pid = self._process.pid
        self.output = self._process.stdout.fileno()

    @property
    def returncode(self) -> int | None:
        return self._process.returncode

    def kill(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            self._process.kill()

    def wait(self, seconds: float) -> int | None:
        with contextlib.suppress(subprocess.TimeoutExpired):
            return self._process.wait(seconds)
        return None

    def stderr_text(self, most: int) -> str:
        assert self._process.stderr is not None
        return launch.stderr_text(self._process.stderr.fileno(), most)

    def close(self) -> None:
        self.kill()
        self._process.wait()
        for stream in (self._process.stdout, self._process.stderr):
            if stream is not None:
                stream.close()


def executed(*command: str) -> launch.Starter:
    """Starts each process by exec; see `launch.start` for what follows the command."""
    return lambda arguments, document: Executed(command, arguments, document)
