"""Citation markers in an answer as it is streamed, and the claims they stand behind. Pure.

A model is asked to write [1] or [2, 3]; it may also invent numbers. `MarkerFilter` lets only those through that name a
passage which was really given, although a marker may arrive in several pieces. What it lets through is what `claims`
reads afterwards, so the text that was streamed is the text that is cited.
"""

import re
from dataclasses import dataclass

_LONGEST = 40
_MARKER = re.compile(
    r"\[(?:passages?|sources?|documents?)?\s*#?(\d{1,4}(?:\s*(?:,|;|-|–|and|&)\s*#?\d{1,4})*)\s*\]", re.I
)
_POSSIBLE = re.compile(r"[ \t]*\[(?:[a-z]{0,9}\s*)?[\d\s,;#&–\-and]{0,30}", re.I)
_RANGE = re.compile(r"(\d+)\s*[-–]\s*(\d+)")
_CLEAN = re.compile(r"\[(\d+)\]")
_BOUNDARY = re.compile(r"(?<=[.!?])[\"'”’)]*\s+|\n+")


class MarkerFilter:
    """Passes an answer's pieces on; markers are normalised to [1][2], those that name no passage are taken out."""

    def __init__(self, passages: int) -> None:
        self._passages = passages
        self._held = ""

    def feed(self, piece: str) -> str:
        """What can be shown now; the beginning of a possible marker is held back."""
        self._held += piece
        done, self._held = self._split(self._held)
        return self._normalised(done)

    def flush(self) -> str:
        """What was held back at the end of the answer."""
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
    """What an answer says with the support of one passage."""

    text: str
    """The sentence up to the marker, without any marker."""
    passage: int
    """The number in the marker."""


def claims(answer: str) -> list[Claim]:
    """Every marker of a filtered answer with the sentence it stands behind, in order."""
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
            numbers += range(int(found[1]), min(int(found[2]), int(found[1]) + 20) + 1)
        elif digits := part.strip().lstrip("#"):
            numbers.append(int(digits))
    return list(dict.fromkeys(numbers))
