"""What loads were seen to need, remembered over restarts in one small JSON file.

Rule: it is a cache of what can be found out again. A file that is missing, damaged, too large or of another format is
an empty one; what is in it is checked before it is used, for anyone may have written it. It is replaced as a whole.
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
    """Needs by key, the latest `most` of them; None as `file` remembers until the process ends.

    `get` and `put` are instant and belong to one thread; `save` may run in another.
    """

    def __init__(self, file: Path | None, most: int = 512) -> None:
        self._file = file
        self._most = most
        self._needs = _read(file) if file else {}
        self._saving = threading.Lock()

    def get(self, key: str) -> Need | None:
        """What is known, from memory."""
        return self._needs.get(key)

    def put(self, key: str, need: Need) -> None:
        """Remember it, and forget the oldest; `save` writes it down."""
        self._needs.pop(key, None)
        self._needs[key] = need
        while len(self._needs) > self._most:
            del self._needs[next(iter(self._needs))]

    def save(self) -> None:
        """Write everything down. Blocks; a disk that refuses is told in the log."""
        if self._file is None:
            return
        body = _encoded(dict(self._needs))
        with self._saving:
            try:
                replace_whole(self._file, body)
            except OSError as error:
                _log.warning("what models need could not be written to %s: %s", self._file, error)


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
        _log.warning("what models need is found out anew, because %s cannot be used: %s", file, error)
        return {}


def _decoded(body: bytes) -> dict[str, Need]:
    if len(body) > _MAX_FILE:
        raise ValueError(f"it has more than {_MAX_FILE} bytes")
    content = json.loads(body)
    if content["format"] != _FORMAT:
        raise ValueError(f"its format {content['format']!r} is not known")
    return {str(key): _need(row) for key, row in content["needs"].items()}


def _need(row: Mapping[str, Any]) -> Need:
    if row["source"] not in get_args(Source):
        raise ValueError(f"{row['source']!r} is no source")
    return Need(tuple(_parts(row["parts"])), row["source"])


def _parts(rows: Iterable[Any]) -> Iterable[Part]:
    for name, device, size in rows:
        if name not in get_args(PartName) or not isinstance(device, str):
            raise ValueError(f"{name!r} on {device!r} is no part")
        if isinstance(size, bool) or not isinstance(size, int) or not 0 <= size < _MAX_BYTES:
            raise ValueError(f"{size!r} is no size")
        yield Part(name, device, size)
