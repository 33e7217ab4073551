"""A passage as the sentences and table rows it consists of. Pure.

A passage's text has a line for each paragraph, heading and table row, and two spaces between the cells of a row.
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
_FIGURED = 0.5
"""Share of a table's rows with a number, from the first such row on, in a table of figures."""


@dataclass(frozen=True, slots=True)
class Segment:
    """A sentence, heading or table row: `text[start:end]` of its passage."""

    start: int
    end: int
    line: int
    """Number of the line of the passage it stands on."""
    text: str
    is_row: bool
    is_heading: bool
    label: str = ""
    """The line above a table row that says what its figures are, such as "Operating income"."""
    is_header: bool = False
    """A table's first rows, which name its columns and hold no figure: no answer by themselves."""

    def overlaps(self, other: "Segment") -> bool:
        """Whether both have a character of the passage in common."""
        return self.start < other.end and other.start < self.end


def segments(text: str) -> list[Segment]:
    """The segments of a passage in order; nothing for an empty text."""
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
    """The segment for a person: a row's cells with bars between them, after the line that names them."""
    if not segment.is_row:
        return segment.text.strip()
    cells = " | ".join(cell.strip() for cell in segment.text.split(_CELL) if cell.strip())
    return f"{segment.label.rstrip(':')}: {cells}" if segment.label else cells


def window(parts: Sequence[Segment], text: str) -> Segment:
    """Neighbouring segments of one passage as one."""
    first, last = parts[0], parts[-1]
    joined = text[first.start : last.end]
    is_row = all(part.is_row for part in parts)
    return Segment(first.start, last.end, first.line, joined, is_row, False, first.label if is_row else "")


def _with_headers(parts: Sequence[Segment]) -> list[Segment]:
    """Rows before a table's first number are its header where most rows have one, unless they have keys ("Age:")."""
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
    """Lengths of the sentences; what ends with initials ("infringe U.S.") goes on: half a sentence answers nothing."""
    lengths: list[int] = []
    begin = 0
    goes_on = False
    for length in sentence_lengths(words):
        if goes_on:
            lengths[-1] += length
        else:
            lengths.append(length)
        begin += length
        goes_on = bool(_INITIALS.search(words[begin - 1]))
    return lengths
