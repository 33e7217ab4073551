"""Packs units into the groups that become chunks, and cuts so that an edit elsewhere does not move the cut.

Content-defined chunking: of the places after the last cut that make the chunk neither too short nor too long, it takes
the one whose following words have the smallest hash. Two versions of a document choose the same places again soon after
they differed. If their last cuts are a share x of the window apart, the smallest hash of both windows is at the same
place with probability (1 - x) / (1 + x), which is 0.39 over all x, so two or three chunks are embedded again and not
all that follow. The extremum instead of a divisor of the hash, after Bjørner, Blass and Gurevich, "Content-dependent
chunking for differential compression, the local maximum approach" (Journal of Computer and System Sciences 76, 2010),
with the window after the last cut, as in Zhang et al., "AE: An asymmetric extremum content defined chunking algorithm"
(INFOCOM 2015).

Places are the ends of paragraphs, list items and tables; if the window has none, the ends of sentences and rows. A
sentence longer than a chunk is cut at a clause or word, chosen likewise. A heading begins a chunk.
"""

import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from ingest.chunking.units import Offsets, Unit
from ingest.layout.paragraphs import BlockKind
from ingest.layout.words import LineWord

PATH_SEPARATOR = " > "
LONGEST_PATH = 200
"""Characters of the heading path that are embedded. Chosen by eye."""

_RESERVE_TOKENS = 6  # slack, as path and units are counted apart. Chosen by eye
_FRESH_SHARE = 0.15  # of the target, from which a heading begins a new chunk. Chosen by eye
# Shares of the target between which a cut may be, and the words that are hashed at a place. "Chunks are cut by content"
# in docs/decisions.md says how much is embedded again after an edit.
_SHORTEST = 0.55
_LONGEST = 1.12
_HASHED_WORDS = 8
_CLAUSE_ENDS = (";", ":", ",")


@dataclass(frozen=True, slots=True)
class ChunkLimits:
    """Lengths of a chunk in the embedding model's tokens; the maximum includes the heading path.

    About 150 words, as measured for the built-in model: see "pieces of 150 words" in docs/decisions.md.
    """

    target_tokens: int = 200
    max_tokens: int = 254


def path_text(heading: tuple[str, ...], text: str) -> str:
    """The text embedded before a chunk's text: its heading path, without the headings that `text` begins with."""
    start = text[: 2 * LONGEST_PATH]
    names = [name for name in heading if name not in start]
    while names and len(PATH_SEPARATOR.join(names)) > LONGEST_PATH and len(names) > 1:
        del names[0]
    return PATH_SEPARATOR.join(names)[:LONGEST_PATH]


class Packer:
    """Collects units and cuts them into groups; holds at most one group and a unit."""

    def __init__(self, offsets: Offsets, limits: ChunkLimits) -> None:
        self._offsets = offsets
        self._limits = limits
        self._units: list[Unit] = []
        self._tokens = 0
        self._path: tuple[str, ...] = ()
        self._room = 0

    def add(self, unit: Unit) -> Iterator[list[Unit]]:
        """Add a unit; yields the groups that it completes."""
        room = self._room_under(unit)
        target = min(self._limits.target_tokens, room)
        longest = min(int(_LONGEST * target), room)
        for part in _parts(unit, room):
            if self._begins_section(part, target):
                yield from self._cut(len(self._units))
            self._units.append(part)
            self._tokens += part.tokens
            while self._tokens > longest and len(self._units) > 1:
                before = self._tokens - self._units[-1].tokens
                if before < _SHORTEST * target and self._tokens <= room:
                    break
                yield from self._cut(self._best_cut(_SHORTEST * target))

    def rest(self) -> Iterator[list[Unit]]:
        """Yield the units left at the end of the document."""
        if self._units:
            yield self._units

    def _begins_section(self, unit: Unit, target: int) -> bool:
        """Whether a heading begins a chunk: unless what is above it is only headings, or too little for a chunk."""
        if unit.kind is not BlockKind.HEADING or all(held.kind is BlockKind.HEADING for held in self._units):
            return False
        return self._tokens >= _FRESH_SHARE * target

    def _cut(self, count: int) -> Iterator[list[Unit]]:
        """Yield the first `count` units. Headings at their end, of sections or columns, stay with what follows them."""
        keep = count
        while keep > 0 and _leads(self._units[keep - 1]):
            keep -= 1
        keep = keep or count
        group, self._units = self._units[:keep], self._units[keep:]
        self._tokens = sum(unit.tokens for unit in self._units)
        yield group

    def _best_cut(self, shortest: float) -> int:
        """Number of units to cut off: up to the best place that leaves at least `shortest` tokens, else all but one."""
        units = self._units
        best, best_rank = len(units) - 1, (3, 0)
        tokens = self._tokens
        for index in range(len(units) - 1, 0, -1):
            tokens -= units[index].tokens
            if tokens < shortest:
                break
            rank = _rank(units[index - 1], units[index])
            if rank < best_rank:
                best, best_rank = index, rank
        return best

    def _room_under(self, unit: Unit) -> int:
        path = (*unit.path, unit.columns) if unit.columns else unit.path
        if path != self._path or not self._room:
            self._path = path
            taken = len(self._offsets(path_text(path, "")))
            self._room = max(self._limits.max_tokens - taken - _RESERVE_TOKENS, self._limits.max_tokens // 2)
        return self._room


def _rank(before: Unit, after: Unit) -> tuple[int, int]:
    """Rank of a place, lowest best: paragraph end, sentence end, inside what belongs together; then the hash."""
    if _leads(before) or before.introduces:
        return 2, _hash(after.pieces)
    if after.apart and not (before.kind is BlockKind.TABLE_ROW is after.kind):
        return 0, _hash(after.pieces)
    return 1, _hash(after.pieces)


def _leads(unit: Unit) -> bool:
    return unit.kind is BlockKind.HEADING or unit.head


def _hash(pieces: Sequence[LineWord]) -> int:
    return zlib.crc32("".join([piece.text for piece in pieces[:_HASHED_WORDS]]).encode("utf-8", "replace"))


def _parts(unit: Unit, most: int) -> Iterator[Unit]:
    """The unit itself, or parts of at most `most` tokens if it is longer."""
    if unit.tokens <= most:
        yield unit
        return
    begin = 0
    while begin < len(unit.pieces):
        end = _fitting(unit, begin, most)
        yield _part(unit, begin, end)
        begin = end


def _fitting(unit: Unit, begin: int, most: int) -> int:
    """Index where a part that begins at `begin` ends, at least one further: best after a clause, then by hash."""
    tokens = 0
    best, best_rank = 0, (2, 0)
    for index in range(begin, len(unit.pieces)):
        tokens += unit.weights[index]
        if tokens > most and index > begin:
            return best or index
        if tokens >= _SHORTEST * most and unit.pieces[index].gap and index > begin:
            clause = unit.pieces[index - 1].text.endswith(_CLAUSE_ENDS)
            rank = (0 if clause else 1, _hash(unit.pieces[index : index + _HASHED_WORDS]))
            if rank < best_rank:
                best, best_rank = index, rank
    return len(unit.pieces)


def _part(unit: Unit, begin: int, end: int) -> Unit:
    weights = unit.weights[begin:end]
    opens, apart = unit.opens and begin == 0, unit.apart and begin == 0
    return Unit(unit.kind, unit.pieces[begin:end], weights, sum(weights), opens, apart, unit.path, unit.columns)
