"""The models that are never evicted, kept in a small file over restarts.

Rule: the file is replaced whole, after it has reached the disk; one that cannot be read counts as empty and is logged.
"""

import json
import logging
import threading
from pathlib import Path

from models.errors import ModelError
from models.formats.regular_file import replace_whole

_log = logging.getLogger(__name__)


class Pins:
    """A set of model ids. Without a path they are kept in memory only."""

    def __init__(self, path: Path | None = None) -> None:
        self._path = path
        self._one_at_a_time = threading.Lock()
        self._ids = _read(path) if path else frozenset()

    def __contains__(self, model_id: object) -> bool:
        return model_id in self._ids

    @property
    def ids(self) -> frozenset[str]:
        return self._ids

    def set(self, model_id: str, *, pinned: bool) -> None:
        """Pin or unpin. Blocks while it writes; from any thread. Raises ModelError, unchanged, if writing fails."""
        with self._one_at_a_time:
            self._set(model_id, pinned=pinned)

    def _set(self, model_id: str, *, pinned: bool) -> None:
        changed = self._ids | {model_id} if pinned else self._ids - {model_id}
        if changed != self._ids and self._path is not None:
            try:
                content = json.dumps({"pinned": sorted(changed)}).encode()
                replace_whole(self._path, content, mode=0o666)
            except OSError as error:
                what = f"{'pinning' if pinned else 'unpinning'} the model {model_id}"
                why = f"{self._path} could not be written: {error.strerror}"
                raise ModelError(what, why, "free some disk space, or give the service write access") from error
        self._ids = changed


def _read(path: Path) -> frozenset[str]:
    try:
        ids = json.loads(path.read_text(encoding="utf-8"))["pinned"]
    except FileNotFoundError:
        return frozenset()
    except (OSError, ValueError, KeyError, TypeError) as error:
        _log.warning("the list of pinned models %s cannot be read: %r; pin the models again", path, error)
        return frozenset()
    return frozenset(one for one in ids if isinstance(one, str)) if isinstance(ids, list) else frozenset()
