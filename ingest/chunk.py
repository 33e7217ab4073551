"""Pages -> chunks: passages of a few sentences or table rows that stand under one heading path.

Pure and streaming: the same pages always give the same chunks, and no more pages are held than the look-ahead needs.
A chunk is filled towards a target and cut where a paragraph ends, else where a sentence or row ends; only a single
sentence or row above the maximum is cut inside. `Chunk.words` maps every word back to its page. There is no overlap:
a passage found twice takes a place among the results and in the context from another one.
"""

from collections import Counter, deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from ingest.blocks import Kind, Offsets, Unit, units_of
from ingest.headings import BodySize
from ingest.rows import Row, rows_of
from ingest.running import without_running
from ingest.tables import with_heads
from ingest.tidy import tidied
from ingest.types import Chunk, ChunkWord, Page

BODY_LOOK_AHEAD = 8
"""Further pages read before a page's headings are decided."""

_PATH_SEPARATOR = " > "
_LONGEST_PATH = 200
_RESERVE_TOKENS = 6
_FRESH_SHARE = 0.15
_EARLIEST_CUT = 0.55
_CLAUSE_ENDS = (";", ":", ",")


@dataclass(frozen=True, slots=True)
class ChunkLimits:
    """Sizes in the embedding model's tokens, heading path included in the maximum."""

    target_tokens: int = 200
    max_tokens: int = 254


def chunk_pages(pages: Iterable[Page], offsets: Offsets, limits: ChunkLimits | None = None) -> Iterator[Chunk]:
    """The chunks of a document, in reading order, numbered from 0. `offsets` is the embedder's tokenizer."""
    packer = _Packer(offsets, limits or ChunkLimits())
    ordinal = 0
    for unit in units_of(_rows(pages), offsets):
        for units in packer.add(unit):
            yield _chunk(ordinal, units)
            ordinal += 1
    for units in packer.rest():
        yield _chunk(ordinal, units)
        ordinal += 1


def embedded_text(chunk: Chunk) -> str:
    """What is embedded for a chunk: its heading path, where the text doesn't begin with it already, and its text.

    Never the document's name or title, so that a rename embeds nothing again.
    """
    path = _path_text(chunk.heading, chunk.text)
    return f"{path}\n{chunk.text}" if path else chunk.text


def _path_text(heading: tuple[str, ...], text: str) -> str:
    start = text[: 2 * _LONGEST_PATH]
    names = [name for name in heading if name not in start]
    while names and len(_PATH_SEPARATOR.join(names)) > _LONGEST_PATH and len(names) > 1:
        del names[0]
    return _PATH_SEPARATOR.join(names)[:_LONGEST_PATH]


def _rows(pages: Iterable[Page]) -> Iterator[tuple[list[Row], BodySize]]:
    """Rows of each page, without running ones, once the pages after it have been counted for the body's size."""
    body = BodySize()
    waiting: deque[list[Row]] = deque()
    for page, dropped in without_running(pages):
        rows = with_heads(tidied(rows_of(page, dropped)))
        body.add(rows)
        waiting.append(rows)
        if len(waiting) > BODY_LOOK_AHEAD:
            yield waiting.popleft(), body
    while waiting:
        yield waiting.popleft(), body


class _Packer:
    """Collects units and cuts them into chunks."""

    def __init__(self, offsets: Offsets, limits: ChunkLimits) -> None:
        self._offsets = offsets
        self._limits = limits
        self._units: list[Unit] = []
        self._tokens = 0
        self._path: tuple[str, ...] = ()
        self._room = 0

    def add(self, unit: Unit) -> Iterator[list[Unit]]:
        """Take a unit; gives the chunks that it completes."""
        room = self._room_under(unit)
        for part in _parts(unit, room):
            target = min(self._limits.target_tokens, room)
            if self._begins_section(part, target):
                yield from self._cut(len(self._units))
            while self._units and self._tokens + part.tokens > target:
                if self._tokens < _EARLIEST_CUT * target and self._tokens + part.tokens <= room:
                    break
                yield from self._cut(self._best_cut(target))
            self._units.append(part)
            self._tokens += part.tokens

    def rest(self) -> Iterator[list[Unit]]:
        """What is left at the end of the document."""
        if self._units:
            yield self._units

    def _begins_section(self, unit: Unit, target: int) -> bool:
        """A heading begins a chunk, unless what is above it is only headings or too little to stand alone."""
        if unit.kind is not Kind.HEADING or all(held.kind is Kind.HEADING for held in self._units):
            return False
        return self._tokens >= _FRESH_SHARE * target

    def _cut(self, count: int) -> Iterator[list[Unit]]:
        """Give the first `count` units as a chunk, but leave headings, of sections and of columns, at its end to what follows them."""
        keep = count
        while keep > 0 and (self._units[keep - 1].kind is Kind.HEADING or self._units[keep - 1].head):
            keep -= 1
        keep = keep or count
        chunk, self._units = self._units[:keep], self._units[keep:]
        self._tokens = sum(unit.tokens for unit in self._units)
        yield chunk

    def _best_cut(self, target: int) -> int:
        """After the last paragraph or table that is not too early, else after everything."""
        tokens = self._tokens
        for index in range(len(self._units) - 1, 0, -1):
            tokens -= self._units[index].tokens
            if tokens < _EARLIEST_CUT * target:
                break
            if _is_boundary(self._units[index - 1], self._units[index]):
                return index
        return len(self._units)

    def _room_under(self, unit: Unit) -> int:
        path = (*unit.path, unit.columns) if unit.columns else unit.path
        if path != self._path or not self._room:
            self._path = path
            taken = len(self._offsets(_path_text(path, "")))
            self._room = max(self._limits.max_tokens - taken - _RESERVE_TOKENS, self._limits.max_tokens // 2)
        return self._room


def _is_boundary(before: Unit, after: Unit) -> bool:
    if before.kind is Kind.TABLE_ROW and after.kind is Kind.TABLE_ROW:
        return False
    return after.opens


def _parts(unit: Unit, most: int) -> Iterator[Unit]:
    """The unit itself, or parts of at most `most` tokens when it is longer, cut after a comma or semicolon if possible."""
    begin = 0
    while begin < len(unit.pieces):
        end = _fitting(unit, begin, most)
        if begin == 0 and end == len(unit.pieces):
            yield unit
            return
        yield _part(unit, begin, end)
        begin = end


def _fitting(unit: Unit, begin: int, most: int) -> int:
    """Where a part that begins at a piece ends: at least one piece further."""
    tokens = 0
    clause = 0
    for index in range(begin, len(unit.pieces)):
        tokens += unit.weights[index]
        if tokens > most and index > begin:
            return clause or index
        if tokens >= _EARLIEST_CUT * most and unit.pieces[index].text.endswith(_CLAUSE_ENDS):
            clause = index + 1
    return len(unit.pieces)


def _part(unit: Unit, begin: int, end: int) -> Unit:
    weights = unit.weights[begin:end]
    return Unit(unit.kind, unit.pieces[begin:end], weights, sum(weights), unit.opens and begin == 0, unit.path)


def _chunk(ordinal: int, units: list[Unit]) -> Chunk:
    texts: list[str] = []
    words: list[ChunkWord] = []
    position = 0
    for unit in units:
        for index, piece in enumerate(unit.pieces):
            gap = "\n" if unit.opens and index == 0 else piece.gap
            if words:
                texts.append(gap)
                position += len(gap)
            texts.append(piece.text)
            end = position + len(piece.text)
            words.append(ChunkWord(position, end, piece.page, piece.start, piece.end, piece.box))
            position = end
    pages = [word.page for word in words]
    rows = sum(unit.kind is Kind.TABLE_ROW for unit in units)
    return Chunk(ordinal, min(pages), max(pages), _path_of(units), "".join(texts), tuple(words), rows)


def _path_of(units: list[Unit]) -> tuple[str, ...]:
    """The path that most of its tokens stand under, of equals the first; in mid-table, the columns' headings as well."""
    tokens: Counter[tuple[str, ...]] = Counter()
    for unit in units:
        tokens[unit.path] += 0 if unit.kind is Kind.HEADING else unit.tokens
    path = max(tokens, key=tokens.__getitem__)
    columns = _columns_above(units, path)
    return (*path, columns) if columns else path


def _columns_above(units: list[Unit], path: tuple[str, ...]) -> str:
    """The headings of the table that the chunk begins inside of; none if it holds them itself."""
    first = next((unit for unit in units if unit.kind is Kind.TABLE_ROW), None)
    return first.columns if first is not None and first.path == path else ""
