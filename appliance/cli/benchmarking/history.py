"""Keeps the runs so far as JSON Lines, one record per line, append-only.

Rule: one system call under a lock writes a line, so that two runs at a time do not mix. Unreadable lines, which a power
cut may leave, are skipped. The file belongs to the user who measures: `$DOCENT_HOME/bench.jsonl`, or
`$XDG_STATE_HOME/docent/bench.jsonl`, because that user may not be allowed to write to the service's folders.
"""

import errno
import fcntl
import os
from collections.abc import Mapping
from pathlib import Path

from pydantic import ValidationError

from appliance.cli.benchmarking.record import Record
from appliance.errors import DocentError


def history_path(environment: Mapping[str, str] = os.environ) -> Path:
    """The file that holds this user's runs."""
    if home := environment.get("DOCENT_HOME"):
        return Path(home).absolute() / "bench.jsonl"
    state = environment.get("XDG_STATE_HOME") or Path(environment.get("HOME") or "~").expanduser() / ".local/state"
    return Path(state) / "docent" / "bench.jsonl"


class History:
    """The records of one file, oldest first."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def append(self, record: Record) -> None:
        """Appends a run.

        Raises:
            DocentError: the file cannot be written.
        """
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            descriptor = os.open(self._path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o644)
        except OSError as error:
            raise self._failed("writing", error) from error
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            _write_line(descriptor, record.model_dump_json().encode())
        except OSError as error:
            raise self._failed("writing", error) from error
        finally:
            os.close(descriptor)

    def records(self) -> list[Record]:
        """All readable records; none if there is no file.

        Raises:
            DocentError: the file exists and cannot be read.
        """
        try:
            lines = self._path.read_bytes().splitlines()
        except FileNotFoundError:
            return []
        except OSError as error:
            raise self._failed("reading", error) from error
        return [record for line in lines if (record := _read(line)) is not None]

    def of_model(self, model_id: str) -> list[Record]:
        """The runs recorded under this model id, whatever file it meant."""
        return [record for record in self.records() if record.model == model_id]

    def _failed(self, doing: str, error: OSError) -> DocentError:
        hint = "give yourself the right to read and write that file, or set XDG_STATE_HOME to another folder"
        return DocentError(f"{doing} the earlier runs in {self._path}", error.strerror or str(error), hint)


def _write_line(descriptor: int, line: bytes) -> None:
    """Appends the line; ends a partial line first, if a failed write left one."""
    size = os.fstat(descriptor).st_size
    whole = size == 0 or os.pread(descriptor, 1, size - 1) == b"\n"
    text = (b"" if whole else b"\n") + line + b"\n"
    if os.write(descriptor, text) != len(text):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def _read(line: bytes) -> Record | None:
    try:
        return Record.model_validate_json(line)
    except ValidationError:
        return None


def machine(cpuinfo: Path = Path("/proc/cpuinfo")) -> str:
    """Describes this machine: processor, cores that this process may use, memory."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return f"{_processor(cpuinfo)}, {len(os.sched_getaffinity(0))} cores, {round(memory / (1 << 30))} GiB"


def _processor(cpuinfo: Path) -> str:
    try:
        lines = cpuinfo.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        lines = []
    names = (line.partition(":")[2].strip() for line in lines if line.lower().startswith(("model name", "hardware")))
    return next(names, os.uname().machine)
