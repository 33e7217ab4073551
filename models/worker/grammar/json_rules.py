"""Grammar rules for the parts of JSON: strings, numbers, white space, any value. Pure.

Numbers are limited to what every JSON reader accepts: up to 18 digits, no leading zeros, and in integers no minus before
zero. White space between parts is nothing, a space, or a line break with at most 20 blanks, so that a model cannot go on
writing blanks.
"""

import json
from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property
from typing import Final

from models.worker.grammar.rules import Builder, Symbols

_DIGITS: Final = 18
_BLANKS: Final = 20
_HEX: Final = [(0x30, 0x39), (0x41, 0x46), (0x61, 0x66)]
_NOT_PLAIN: Final = [(0, 0x1F), (0x22, 0x22), (0x5C, 0x5C), (0x7F, 0x7F)]  # characters that must be escaped, and DEL
FORMATS: Final = ("date", "time", "date-time", "uuid")
_Tree = dict[str, "_Tree"]  # a trie of names
_ENDS: Final = ""  # in a trie: a name ends here


class JsonRules:
    """Rules for JSON, each made at its first use."""

    def __init__(self, builder: Builder) -> None:
        self._builder = builder

    def literal(self, value: object) -> Symbols:
        """Matches exactly this value."""
        return self._builder.text(json.dumps(value, ensure_ascii=False))

    @cached_property
    def blank(self) -> Symbols:
        build = self._builder
        line = (*build.text("\n"), *build.repeat(build.characters([(9, 9), (32, 32)]), 0, _BLANKS))
        return build.any_of([(), build.text(" "), line])

    @cached_property
    def letter(self) -> Symbols:
        """Matches one character of a string, escaped or not, except half a surrogate pair."""
        build = self._builder
        hexadecimal = build.characters(_HEX)
        no_surrogate = build.any_of(
            [
                (
                    *build.characters([(0x30, 0x39), (0x41, 0x43), (0x45, 0x46), (0x61, 0x63), (0x65, 0x66)]),
                    *hexadecimal,
                ),
                (*self._one_of("dD"), *build.characters([(0x30, 0x37)])),
            ]
        )
        escape = build.any_of([self._one_of('"\\/bfnrt'), (*build.text("u"), *no_surrogate, *hexadecimal * 2)])
        return build.any_of([self._plain(()), (*build.text("\\"), *escape)])

    def string(self, least: int = 0, most: int | None = None) -> Symbols:
        """Matches any string of `least` to `most` characters."""
        quote = self._builder.text('"')
        return (*quote, *self._builder.repeat(self.letter, least, most), *quote)

    def key_other_than(self, names: Iterable[str]) -> Symbols:
        """Matches any string except these names. Allows no escapes, which could spell a name in another way."""
        trie: _Tree = {}
        for name in names:
            branch = trie
            for letter in json.dumps(name, ensure_ascii=False)[1:-1]:
                branch = branch.setdefault(letter, {})
            branch[_ENDS] = {}
        rest = (*self._builder.repeat(self._plain(()), 0, None), *self._builder.text('"'))
        any_end = self._builder.any_of([rest])
        return (*self._builder.text('"'), *self._leave(trie, any_end))

    def _leave(self, trie: "_Tree", rest: Symbols) -> Symbols:
        """Matches what is not in the trie: after the first other character, `rest`. No recursion: a name may be long."""
        build = self._builder
        root = build.reserve()
        todo = [(root, trie)]
        while todo:
            rule, branch = todo.pop()
            inner = {letter: build.reserve() for letter in branch if letter != _ENDS}
            ways: list[Symbols] = [] if _ENDS in branch else [build.text('"')]
            ways.append((*self._plain(inner), *rest))
            ways += [(*build.text(letter), number) for letter, number in inner.items()]
            build.define(rule, ways)
            todo += [(number, branch[letter]) for letter, number in inner.items()]
        return (root,)

    @cached_property
    def integer(self) -> Symbols:
        return self._builder.any_of([self._whole, (*self._builder.text("-"), *self._positive)])

    @cached_property
    def number(self) -> Symbols:
        build = self._builder
        point = (*build.text("."), *self._digits(1, _DIGITS))
        sign = build.any_of([(), self._one_of("+-")])
        exponent = (*self._one_of("eE"), *sign, *self._digits(1, 2))
        minus = build.any_of([(), build.text("-")])
        return (*minus, *self._whole, *build.any_of([(), point]), *build.any_of([(), exponent]))

    def integers(self, low: int | None, high: int | None) -> Symbols:
        """Matches the integers from `low` to `high`, both included. None: no bound but 18 digits."""
        furthest = 10**_DIGITS - 1
        low, high = -furthest if low is None else low, furthest if high is None else high
        ways = [self._run(part) for part in _same_digits(max(low, 0), high)]
        if low < 0:
            minus = self._builder.text("-")
            ways += [(*minus, *self._run(part)) for part in _same_digits(max(1, -high), -low)]
        return self._builder.any_of(ways)

    @cached_property
    def value(self) -> Symbols:
        """Matches any JSON value."""
        rule = self._builder.reserve()
        words = [self._builder.text(word) for word in ("true", "false", "null")]
        inner = (rule,)
        self._builder.define(rule, [self.string(), self.number, self._object(inner), self.array(inner), *words])
        return inner

    @cached_property
    def object(self) -> Symbols:
        """Matches any object."""
        return self._object(self.value)

    def pair(self, key: Symbols, value: Symbols) -> Symbols:
        """Matches a key and its value. Returns one symbol."""
        whole = (*key, *self._builder.text(":"), *self.blank, *value)
        return (self._builder.define(self._builder.reserve(), [whole]),)

    @cached_property
    def comma(self) -> Symbols:
        return (*self._builder.text(","), *self.blank)

    def wrapped(self, brackets: str, inner: Symbols) -> Symbols:
        """Puts `inner` between the two `brackets`."""
        build = self._builder
        return (*build.text(brackets[0]), *self.blank, *inner, *self.blank, *build.text(brackets[1]))

    def array(self, item: Symbols) -> Symbols:
        """Matches an array of any length, all of the same `item`."""
        return self.wrapped("[]", self._list(item))

    def formatted(self, form: str) -> Symbols:
        """Matches a string in one of FORMATS."""
        quote = self._builder.text('"')
        date = (*self._digits(4, 4), *self._spans("-", (1, 12)), *self._spans("-", (1, 31)))
        clock = (*self._span(0, 23), *self._spans(":", (0, 59)), *self._spans(":", (0, 59)))
        hour_apart = (*self._one_of("+-"), *self._span(0, 23), *self._spans(":", (0, 59)))
        part = self._builder.any_of([(), (*self._builder.text("."), *self._digits(1, 6))])
        time = (*clock, *part, *self._builder.any_of([self._builder.text("Z"), hour_apart]))
        dash, hexadecimal = self._builder.text("-"), self._builder.characters(_HEX)
        uuid = hexadecimal * 8 + (dash + hexadecimal * 4) * 3 + dash + hexadecimal * 12
        known = {"date": date, "time": time, "date-time": date + self._builder.text("T") + time, "uuid": uuid}
        return (*quote, *known[form], *quote)

    def _object(self, value: Symbols) -> Symbols:
        return self.wrapped("{}", self._list(self.pair(self.string(), value)))

    def _list(self, item: Symbols) -> Symbols:
        more = self._builder.repeat((*self.comma, *item), 0, None)
        return self._builder.any_of([(), (*item, *more)])

    @cached_property
    def _positive(self) -> Symbols:
        return (*self._builder.characters([(0x31, 0x39)]), *self._digits(0, _DIGITS - 1))

    @cached_property
    def _whole(self) -> Symbols:
        return self._builder.any_of([self._builder.text("0"), self._positive])

    def _plain(self, but: Iterable[str]) -> Symbols:
        without = [(ord(letter), ord(letter)) for letter in but]
        return self._builder.characters([*_NOT_PLAIN, *without], negated=True)

    def _one_of(self, letters: str) -> Symbols:
        return self._builder.characters([(ord(letter), ord(letter)) for letter in letters])

    def _digits(self, least: int, most: int) -> Symbols:
        return self._builder.repeat(self._builder.characters([(0x30, 0x39)]), least, most)

    def _span(self, low: int, high: int) -> Symbols:
        return self._builder.any_of([self._builder.text(f"{number:02}") for number in range(low, high + 1)])

    def _spans(self, before: str, span: tuple[int, int]) -> Symbols:
        return (*self._builder.text(before), *self._span(*span))

    def _run(self, digits: Sequence[tuple[str, str]]) -> Symbols:
        return tuple(symbol for low, high in digits for symbol in self._builder.characters([(ord(low), ord(high))]))


def _same_digits(low: int, high: int) -> Iterator[Sequence[tuple[str, str]]]:
    """Splits `low` to `high`, not negative, into runs of numbers that are one range for each digit."""
    while low <= high:
        end = min(high, 10 ** len(str(low)) - 1)
        zeros = 0
        while zeros < len(str(end)) and low % 10 ** (zeros + 1) == 0 and low + 10 ** (zeros + 1) - 1 <= end:
            zeros += 1
        step = 10**zeros
        last = low + step - 1  # all numbers with these leading digits
        while (last + 1) // step % 10 and last + step <= end:
            last += step
        yield tuple(zip(str(low), str(last), strict=True))
        low = last + 1
