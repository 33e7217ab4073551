"""Rewrites the full-text index, at once or in steps, so that no words of deleted rows are left in it.

FTS5 deletes a row by a mark that contains its words. It drops both when it merges the oldest segment of the index with
all later ones. It takes a segment for the oldest only if no level lies below the merge's, but levels that became empty,
as after the last document was deleted, stay. `is_gathered` returns whether a merge takes in all segments, in the last
levels. If it does not, `_add_segment` adds another segment, which makes FTS5 gather all of them there, unless they are
so small that FTS5 merges them at once; an index that small is rebuilt from the rows.
"""

import apsw

from appliance.store.database.connection import run, value

_OPTIMIZE = "INSERT INTO passages (passages) VALUES ('optimize')"
_MERGE = "INSERT INTO passages (passages, rank) VALUES ('merge', ?)"
_REBUILD = "INSERT INTO passages (passages) VALUES ('rebuild')"
_MERGED_PAGES = 400
"""Pages of the index that one transaction merges; takes 0.1 to 0.2 s."""
_STRUCTURE = "SELECT block FROM passages_data WHERE id = 10"
_NUMBERS_OF_A_SEGMENT = 3


def rewrite(connection: apsw.Connection) -> None:
    """Rewrite the whole index in one transaction."""
    run(connection, _OPTIMIZE)
    if not is_gathered(connection):
        _add_segment(connection)
        run(connection, _OPTIMIZE)
    if not is_gathered(connection):
        run(connection, _REBUILD)


class Rewriting:
    """Rewrites the index in steps; rows may be added in between. Each call belongs in a transaction of its own."""

    def __init__(self) -> None:
        self._begun = False
        self._gathered = False
        self._segment_added = False

    def begin_again(self) -> None:
        """Start over, because rows were deleted since."""
        self._begun = False

    def __call__(self, connection: apsw.Connection) -> bool:
        """Do one step; returns whether the rewrite is complete."""
        before = connection.total_changes()
        run(connection, _MERGE, (_MERGED_PAGES if self._begun else -_MERGED_PAGES,))
        if not self._begun:
            self._begun, self._gathered = True, is_gathered(connection)
            return False
        if connection.total_changes() - before > 1:  # one change is the command itself
            return False
        self._begun = False
        if not self._gathered and not self._segment_added:
            _add_segment(connection)
            self._segment_added = True
            return False
        if not self._gathered:
            run(connection, _REBUILD)
        self._segment_added = False
        return True


def is_gathered(connection: apsw.Connection) -> bool:
    """Whether all segments of the index are in its last two levels: the one being merged and the one it becomes."""
    *others, _, _ = [0, 0, *_segments(value(connection, _STRUCTURE))]
    return not any(others)


def _segments(structure: bytes) -> list[int]:
    """The number of segments in each level, from FTS5's structure record.

    The record is a cookie of four bytes, then numbers: levels, segments, a counter, and for each level how many
    segments are being merged and how many there are, with three numbers for each segment.
    """
    numbers = iter(_varints(structure[4:]))
    levels, _, _ = next(numbers), next(numbers), next(numbers)
    found = []
    for _ in range(levels):
        _, segments = next(numbers), next(numbers)
        found.append(segments)
        for _ in range(_NUMBERS_OF_A_SEGMENT * segments):
            next(numbers)
    return found


def _varints(data: bytes) -> list[int]:
    """SQLite's variable-length integers, of at most eight bytes each."""
    found, number = [], 0
    for byte in data:
        number = number << 7 | byte & 0x7F
        if byte < 0x80:
            found.append(number)
            number = 0
    return found


def _add_segment(connection: apsw.Connection) -> None:
    """Add a segment. Its row is deleted in the same transaction, and no chunk has its number."""
    run(connection, "INSERT INTO passages (rowid, text) VALUES (0, 'x')")
    run(connection, "DELETE FROM passages WHERE rowid = 0")
