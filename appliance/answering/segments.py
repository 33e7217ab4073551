"""Splits a passage into sentences, headings and table rows. Pure.

A passage's text has one line per paragraph, heading and table row, and two spaces between the cells of a row.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

from appliance.answering.kinds import has_number
from ingest.chunking.sentences import sentence_lengths

_CELL = "  "
_LETTERS = re.compile(r"[^\W\d_]{2}")
_INITIALS = re.compile(r"(?:\b[A-Z]\.){2,}$")
_WORD = re.compile(r"\S+")
_SENTENCE_END = re.compile(r"[.!?:;…][\"'”’)\]]*$")
_LONGEST_HEADING = 12
"""Words. Chosen by eye."""
_FIGURED = 0.5
"""Least share of rows with a number, from the first such row on, in a table of figures. Chosen by eye."""


@dataclass(frozen=True, slots=True)
class Segment:
    """A sentence, heading or table row: `text[start:end]` of its passage."""

    start: int
    end: int
    line: int
    """Number of its line in the passage."""
    text: str
    is_row: bool
    is_heading: bool
    label: str = ""
    """The line above a table row that names its figures, such as "Operating income"."""
    is_header: bool = False
    """One of a table's first rows, which name its columns and hold no figure: not an answer by itself."""

    def overlaps(self, other: "Segment") -> bool:
        """Whether the two share a character of the passage."""
        return self.start < other.end and other.start < self.end


def segments(text: str) -> list[Segment]:
    """Split a passage into its segments, in order; none for an empty text."""
    found: list[Segment] = []
    label = ""
    position = 0
    for number, line in enumerate(text.split("\n")):
        if _CELL in line.strip():
            found.append(Segment(position, position + len(line), number, line, True, False, label))
        else:
            parts = _sentences(line, position, number)
            found += parts
            label = line.strip() if len(parts) == 1 and parts[0].is_heading and _LETTERS.search(line) else ""
        position += len(line) + 1
    return _with_headers([segment for segment in found if segment.text.strip()])


def readable(segment: Segment) -> str:
    """Format a segment for people: a row's cells with bars between them, after its label."""
    if not segment.is_row:
        return segment.text.strip()
    cells = " | ".join(cell.strip() for cell in segment.text.split(_CELL) if cell.strip())
    return f"{segment.label.rstrip(':')}: {cells}" if segment.label else cells


def window(parts: Sequence[Segment], text: str) -> Segment:
    """Join neighbouring segments of one passage."""
    first, last = parts[0], parts[-1]
    joined = text[first.start : last.end]
    is_row = all(part.is_row for part in parts)
    return Segment(first.start, last.end, first.line, joined, is_row, False, first.label if is_row else "")


def _with_headers(parts: Sequence[Segment]) -> list[Segment]:
    """Mark the rows before a table's first number as its header, if most rows have numbers; not those with a key
    ("Age:").
    """
    marked = list(parts)
    begin = 0
    while begin < len(marked):
        end = begin
        while end < len(marked) and marked[end].is_row:
            end += 1
        numbered = [i for i in range(begin, end) if has_number(marked[i].text)]
        first = numbered[0] if numbered and len(numbered) >= _FIGURED * (end - numbered[0]) else begin
        for i in range(begin, first):
            if not _has_key(marked[i].text):
                marked[i] = replace(marked[i], is_header=True)
        begin = end + 1
    return marked


def _has_key(row: str) -> bool:
    return any(cell.rstrip().endswith(":") for cell in row.split(_CELL))


def _sentences(line: str, position: int, number: int) -> list[Segment]:
    words = list(_WORD.finditer(line))
    if not words:
        return []
    lengths = _joined([word[0] for word in words])
    found: list[Segment] = []
    begin = 0
    for length in lengths:
        start, end = words[begin].start(), words[begin + length - 1].end()
        text = line[start:end]
        heading = len(lengths) == 1 and length <= _LONGEST_HEADING and not _SENTENCE_END.search(text.rstrip(":"))
        found.append(Segment(position + start, position + end, number, text, False, heading))
        begin += length
    return found


def _joined(words: Sequence[str]) -> list[int]:
    """Return the sentences' lengths in words; one that ends in initials ("infringe U.S.") continues with the next."""
    lengths: list[int] = []
    begin = 0
    continues = False
    for length in sentence_lengths(words):
        if continues:
            lengths[-1] += length
        else:
            lengths.append(length)
        begin += length
        continues = bool(_INITIALS.search(words[begin - 1]))
    return lengths
