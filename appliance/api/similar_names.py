"""Which of many paths come near a name that is not among them. Pure.

File names are compared by letters (`difflib`), which costs a tenth of a millisecond and more each; so only those are that
share most pairs of neighbouring letters with the name, which is told a hundred times as fast.
"""

import difflib
import heapq
from collections.abc import Iterable

MOST = 3
_LIKE = 0.6
_COMPARED = 100
_LONGEST = 1024  # letters of what is looked for; a file's name has at most 255 bytes


def nearest(name: str, paths: Iterable[str]) -> list[str]:
    """Up to `MOST` paths whose file's name is like that of `name`, the nearest first; of namesakes the path decides."""
    wanted = name.lower()[-_LONGEST:]
    begun = "/" + _file(wanted)
    pairs = {begun[at : at + 2] for at in range(len(begun) - 1)}

    def shared(path: str) -> float:
        other = "/" + _file(path.lower())
        return sum(map(other.__contains__, pairs)) / (len(pairs) + len(other))

    compared = heapq.nlargest(_COMPARED, paths, key=shared)
    likeness = {path: _likeness(_file(wanted), _file(path.lower())) for path in compared}
    like = [path for path in compared if likeness[path] >= _LIKE]
    return heapq.nlargest(MOST, like, key=lambda path: (likeness[path], _likeness(wanted, path.lower())))


def _file(path: str) -> str:
    return path.rpartition("/")[2]


def _likeness(one: str, other: str) -> float:
    return difflib.SequenceMatcher(None, one, other).ratio()
