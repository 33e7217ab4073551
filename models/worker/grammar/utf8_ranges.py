"""Turns ranges of characters into sequences of byte ranges in UTF-8. Pure.

Splits a range as Russ Cox does ("Regular Expression Matching: the Virtual Machine Approach", utf8 ranges in RE2): until
each byte position of every part is a range by itself.
"""

from collections.abc import Iterable, Iterator
from typing import Final

Range = tuple[int, int]
LAST: Final = 0x10FFFF
_SURROGATES: Final = (0xD800, 0xDFFF)
_LENGTH_ENDS: Final = (0x7F, 0x7FF, 0xFFFF, LAST)


def normal(ranges: Iterable[Range], *, negated: bool = False) -> tuple[Range, ...]:
    """Returns the set, or its complement, as sorted ranges that do not touch, without surrogates."""
    merged: list[Range] = []
    for low, high in sorted(ranges):
        if merged and low <= merged[-1][1] + 1:
            merged[-1] = (merged[-1][0], max(high, merged[-1][1]))
        else:
            merged.append((low, high))
    if negated:
        merged = _gaps(merged, LAST)
    valid = _gaps([_SURROGATES], LAST)
    return tuple(both for one in merged for other in valid if (both := _overlap(one, other)))


def byte_sequences(ranges: Iterable[Range]) -> Iterator[tuple[Range, ...]]:
    """Yields the parts of the set, each as one byte range for every byte of its characters."""
    for low, high in ranges:
        for end in _LENGTH_ENDS:
            if low <= min(high, end):
                yield from _same_length(low, min(high, end))
                low = end + 1


def _same_length(low: int, high: int) -> Iterator[tuple[Range, ...]]:
    first, last = chr(low).encode(), chr(high).encode()
    for at in range(1, len(first)):
        mask = (1 << 6 * (len(first) - at)) - 1
        if low & ~mask != high & ~mask:
            if low & mask:
                yield from _same_length(low, low | mask)
                yield from _same_length((low | mask) + 1, high)
                return
            if high & mask != mask:
                yield from _same_length(low, (high & ~mask) - 1)
                yield from _same_length(high & ~mask, high)
                return
    yield tuple(zip(first, last, strict=True))


def _gaps(ranges: Iterable[Range], last: int) -> list[Range]:
    gaps, begin = [], 0
    for low, high in ranges:
        if begin < low:
            gaps.append((begin, low - 1))
        begin = high + 1
    return [*gaps, (begin, last)] if begin <= last else gaps


def _overlap(one: Range, other: Range) -> Range | None:
    low, high = max(one[0], other[0]), min(one[1], other[1])
    return (low, high) if low <= high else None
