"""Suggests existing paths close to one that was not found. Pure.

`difflib` compares file names letter by letter, which takes a tenth of a millisecond or more each. So it compares only
those that share the most pairs of neighbouring letters with the name; counting pairs is a hundred times as fast.
"""

import difflib
import heapq
from collections.abc import Iterable

MOST = 3
_LEAST_RATIO = 0.6
"""Least `difflib` ratio of a suggestion; difflib's own default."""
_COMPARED = 100
"""Names compared letter by letter. Chosen by eye."""
_LONGEST = 1024
"""Characters of the name that are compared, from its end; a file name has at most 255 bytes."""


def nearest(name: str, paths: Iterable[str]) -> list[str]:
    """Return up to `MOST` paths whose file name resembles that of `name`, best first; whole paths decide ties."""
    wanted = name.lower()[-_LONGEST:]
    file = "/" + _file(wanted)
    pairs = {file[at : at + 2] for at in range(len(file) - 1)}

    def shared(path: str) -> float:
        other = "/" + _file(path.lower())
        return sum(map(other.__contains__, pairs)) / (len(pairs) + len(other))

    compared = heapq.nlargest(_COMPARED, paths, key=shared)
    ratios = {path: _ratio(_file(wanted), _file(path.lower())) for path in compared}
    similar = [path for path in compared if ratios[path] >= _LEAST_RATIO]
    return heapq.nlargest(MOST, similar, key=lambda path: (ratios[path], _ratio(wanted, path.lower())))


def _file(path: str) -> str:
    return path.rpartition("/")[2]


def _ratio(one: str, other: str) -> float:
    return difflib.SequenceMatcher(None, one, other).ratio()
