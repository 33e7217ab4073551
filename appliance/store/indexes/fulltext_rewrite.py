"""Writing the full text's index anew, so that the words of deleted rows are nowhere in it: at once, or some at a time.

FTS5 deletes a row by a mark that holds its words, and drops both when the oldest part of the index is merged with all
that came later. It takes a part for the oldest only where no level lies below the merge's, and levels that became empty,
as when the last document goes, stay. `is_gathered` tells whether a merge is one of all parts in the last levels; where
it is not, another part is added (`_stir`), which makes FTS5 gather all of them there, unless all is so little that it
puts them together at once; that little is made anew from the rows.
"""

import apsw

from appliance.store.database.connection import run, value

_OPTIMIZE = "INSERT INTO passages (passages) VALUES ('optimize')"
_MERGE = "INSERT INTO passages (passages, rank) VALUES ('merge', ?)"
_REBUILD = "INSERT INTO passages (passages) VALUES ('rebuild')"
_MERGED_PAGES = 400
"""Of the index's own, in a transaction: a tenth to a fifth of a second."""
_STRUCTURE = "SELECT block FROM passages_data WHERE id = 10"
_NUMBERS_OF_A_PART = 3


def rewrite(connection: apsw.Connection) -> None:
    """Write it anew in one transaction."""
    run(connection, _OPTIMIZE)
    if not is_gathered(connection):
        _stir(connection)
        run(connection, _OPTIMIZE)
    if not is_gathered(connection):
        run(connection, _REBUILD)


class Rewriting:
    """Writes it anew some at a time, whatever is added in between; each call is for a transaction of its own."""

    def __init__(self) -> None:
        self._begun = False
        self._gathered = False
        self._stirred = False

    def begin_again(self) -> None:
        """Something was deleted since: all of it is to be written anew."""
        self._begun = False

    def __call__(self, connection: apsw.Connection) -> bool:
        """Do some; whether all is done."""
        before = connection.total_changes()
        run(connection, _MERGE, (_MERGED_PAGES if self._begun else -_MERGED_PAGES,))
        if not self._begun:
            self._begun, self._gathered = True, is_gathered(connection)
            return False
        if connection.total_changes() - before > 1:  # one change is the command itself
            return False
        self._begun = False
        if not self._gathered and not self._stirred:
            _stir(connection)
            self._stirred = True
            return False
        if not self._gathered:
            run(connection, _REBUILD)
        self._stirred = False
        return True


def is_gathered(connection: apsw.Connection) -> bool:
    """Whether all parts of the index are in its last levels, those that are being merged and what they become."""
    *others, _, _ = [0, 0, *_parts(value(connection, _STRUCTURE))]
    return not any(others)


def _parts(structure: bytes) -> list[int]:
    """The number of parts in each level, from FTS5's structure record: a cookie of four bytes, then numbers: levels,
    parts, a counter, and for each level how many are being merged and how many there are, with three numbers each."""
    numbers = iter(_varints(structure[4:]))
    levels, _, _ = next(numbers), next(numbers), next(numbers)
    found = []
    for _ in range(levels):
        _, parts = next(numbers), next(numbers)
        found.append(parts)
        for _ in range(_NUMBERS_OF_A_PART * parts):
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


def _stir(connection: apsw.Connection) -> None:
    """Add a part; the row is gone before anybody can find it, and no chunk has its number."""
    run(connection, "INSERT INTO passages (rowid, text) VALUES (0, 'x')")
    run(connection, "DELETE FROM passages WHERE rowid = 0")
