"""Filters citation markers in a streamed answer, and finds the claims they follow. Pure.

The prompt makes a model write [1] or [2, 3]; it may also invent numbers. `MarkerFilter` passes only markers of passages
that the model was given, even if a marker arrives in several pieces. `claims` then reads the filtered text, so the text
that was streamed is the text that is cited.
"""

import re
from dataclasses import dataclass

_LONGEST = 40
"""Characters of a possible marker that are held back. Chosen by eye; `_POSSIBLE` matches little more."""
_LONGEST_RANGE = 20
"""Numbers that one range such as [1-500] may add. Chosen by eye."""
_MARKER = re.compile(
    r"\[(?:passages?|sources?|documents?)?\s*#?(\d{1,4}(?:\s*(?:,|;|-|–|and|&)\s*#?\d{1,4})*)\s*\]", re.I
)
_POSSIBLE = re.compile(r"[ \t]*\[(?:[a-z]{0,9}\s*)?[\d\s,;#&–\-and]{0,30}", re.I)
_RANGE = re.compile(r"(\d+)\s*[-–]\s*(\d+)")
_CLEAN = re.compile(r"\[(\d+)\]")
_BOUNDARY = re.compile(r"(?<=[.!?])[\"'”’)]*\s+|\n+")


class MarkerFilter:
    """Passes on the pieces of an answer; normalises markers to [1][2] and removes those that name no passage."""

    def __init__(self, passages: int) -> None:
        self._passages = passages
        self._held = ""

    def feed(self, piece: str) -> str:
        """Take a piece and return the text that can be shown now; the start of a possible marker is held back."""
        self._held += piece
        done, self._held = self._split(self._held)
        return self._normalised(done)

    def flush(self) -> str:
        """Return the text still held back, at the end of the answer."""
        rest, self._held = self._held, ""
        return self._normalised(rest)

    def _split(self, text: str) -> tuple[str, str]:
        start = text.rfind("[")
        if start < 0 or "]" in text[start:]:
            start = len(text)
        begin = start - (len(text[:start]) - len(text[:start].rstrip(" \t")))
        held = text[begin:]
        if len(held) > _LONGEST or (start < len(text) and not _POSSIBLE.fullmatch(held)):
            return text, ""
        return text[:begin], held

    def _normalised(self, text: str) -> str:
        parts: list[str] = []
        position = 0
        for found in _MARKER.finditer(text):
            kept = "".join(f"[{n}]" for n in _numbers(found[1]) if 1 <= n <= self._passages)
            before = text[position : found.start()]
            parts.append(before + kept if kept else before.rstrip(" \t"))
            position = found.end()
        return "".join(parts) + text[position:]


@dataclass(frozen=True, slots=True)
class Claim:
    """A statement of an answer and the passage it cites."""

    text: str
    """The sentence up to the marker, without any marker."""
    passage: int
    """The marker's number."""


def claims(answer: str) -> list[Claim]:
    """Find every marker of a filtered answer, with the sentence it follows, in order."""
    found: list[Claim] = []
    for marker in _CLEAN.finditer(answer):
        before = _CLEAN.sub("", answer[: marker.start()]).rstrip()
        sentence = _BOUNDARY.split(before)[-1].strip() if before else ""
        found.append(Claim(sentence, int(marker[1])))
    return found


def _numbers(inside: str) -> list[int]:
    numbers: list[int] = []
    for part in re.split(r"\s*(?:,|;|and|&)\s*", inside):
        if found := _RANGE.fullmatch(part.strip().lstrip("#")):
            numbers += range(int(found[1]), min(int(found[2]), int(found[1]) + _LONGEST_RANGE) + 1)
        elif digits := part.strip().lstrip("#"):
            numbers.append(int(digits))
    return list(dict.fromkeys(numbers))
