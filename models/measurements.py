"""What loads were seen to need, remembered over restarts."""

from pathlib import Path

from models.need import Need


class Measurements:
    """Needs by key, the latest `most` of them; None as `file` remembers until the process ends."""

    def __init__(self, file: Path | None, most: int = 512) -> None:
        self._file = file
        self._most = most
        self._needs: dict[str, Need] = {}

    def get(self, key: str) -> Need | None:
        """What is known, from memory."""
        return self._needs.get(key)

    def put(self, key: str, need: Need) -> None:
        """Remember it; `save` writes it down."""
        self._needs[key] = need

    def save(self) -> None:
        """Write what has changed. Blocks; not for an event loop."""
