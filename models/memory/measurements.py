"""Keeps what loads were measured to need over restarts, in one small JSON file.

Rule: it is a cache. A file that is missing, damaged, too large or of another format counts as empty; its content is
checked before use, because any program may have written it. The file is replaced whole.
"""

import json
import logging
import threading
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final, get_args

from models.formats.regular_file import replace_whole
from models.memory.need import Need, Part, PartName, Source

_log = logging.getLogger(__name__)
_FORMAT: Final = 1
_MAX_FILE: Final = 4 * 1024 * 1024
_MAX_BYTES: Final = 2**50


class Measurements:
    """Needs by key, the latest `most` of them. With `file` None they are kept in memory only.

    `get` and `put` do no I/O and belong to one thread; `save` may run in another.
    """

    def __init__(self, file: Path | None, most: int = 512) -> None:
        self._file = file
        self._most = most
        self._needs = _read(file) if file else {}
        self._saving = threading.Lock()

    def get(self, key: str) -> Need | None:
        return self._needs.get(key)

    def put(self, key: str, need: Need) -> None:
        """Keep it, and drop the oldest beyond `most`; `save` writes them to disk."""
        self._needs.pop(key, None)
        self._needs[key] = need
        while len(self._needs) > self._most:
            del self._needs[next(iter(self._needs))]

    def save(self) -> None:
        """Write all needs to the file. Blocks; a failure is logged."""
        if self._file is None:
            return
        body = _encoded(dict(self._needs))
        with self._saving:
            try:
                replace_whole(self._file, body)
            except OSError as error:
                _log.warning("the measured memory needs of models could not be written to %s: %s", self._file, error)


def _encoded(needs: Mapping[str, Need]) -> bytes:
    rows = {
        key: {"source": need.source, "parts": [[part.name, part.device, part.bytes] for part in need.parts]}
        for key, need in needs.items()
    }
    return json.dumps({"format": _FORMAT, "needs": rows}).encode()


def _read(file: Path) -> dict[str, Need]:
    try:
        with file.open("rb") as reader:
            return _decoded(reader.read(_MAX_FILE + 1))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        _log.warning("the memory needs of models are measured again, because %s cannot be used: %s", file, error)
        return {}


def _decoded(body: bytes) -> dict[str, Need]:
    if len(body) > _MAX_FILE:
        raise ValueError(f"it has more than {_MAX_FILE} bytes")
    content = json.loads(body)
    if content["format"] != _FORMAT:
        raise ValueError(f"its format {content['format']!r} is unknown")
    return {str(key): _need(row) for key, row in content["needs"].items()}


def _need(row: Mapping[str, Any]) -> Need:
    if row["source"] not in get_args(Source):
        raise ValueError(f"{row['source']!r} is not a source")
    return Need(tuple(_parts(row["parts"])), row["source"])


def _parts(rows: Iterable[Any]) -> Iterable[Part]:
    for name, device, size in rows:
        if name not in get_args(PartName) or not isinstance(device, str):
            raise ValueError(f"{name!r} on {device!r} is not a part")
        if isinstance(size, bool) or not isinstance(size, int) or not 0 <= size < _MAX_BYTES:
            raise ValueError(f"{size!r} is not a size")
        yield Part(name, device, size)
