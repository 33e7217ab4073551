"""Collects the rules of a grammar and checks them before use. Pure.

A symbol is a rule's number, or `-1 - n` for the n-th set of bytes. An alternative is a sequence of symbols, a rule is a
list of alternatives. Every symbol counts towards MAX_SYMBOLS.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from models.worker.grammar.errors import GrammarError, GrammarTooComplex
from models.worker.grammar.utf8_ranges import Range, byte_sequences, normal

Symbols = tuple[int, ...]
MAX_SYMBOLS: Final = 100_000  # chosen by eye


@dataclass(frozen=True, slots=True)
class Rules:
    """A checked grammar: the root can be satisfied, and no rule begins with itself."""

    root: int
    alternatives: Sequence[Sequence[Symbols]]
    sets: Sequence[frozenset[int]]


class Builder:
    """Collects rules. Every method that adds symbols raises GrammarTooComplex above MAX_SYMBOLS."""

    def __init__(self) -> None:
        self._rules: list[tuple[Symbols, ...] | None] = []
        self._names: list[str] = []
        self._sets: dict[frozenset[int], int] = {}
        self._characters: dict[tuple[Range, ...], Symbols] = {}
        self._size = 0

    def reserve(self, name: str = "") -> int:
        """Returns the number of a rule to be defined later."""
        self._count(1)
        self._rules.append(None)
        self._names.append(name)
        return len(self._rules) - 1

    def define(self, rule: int, alternatives: Iterable[Symbols]) -> int:
        """Sets the alternatives of a rule. An empty alternative matches the empty text; a rule with none matches nothing."""
        known = tuple(alternatives)
        self._count(sum(len(symbols) + 1 for symbols in known))
        self._rules[rule] = known
        return rule

    def any_of(self, alternatives: Iterable[Symbols]) -> Symbols:
        """Matches one of these."""
        known = tuple(dict.fromkeys(alternatives))
        return known[0] if len(known) == 1 else (self.define(self.reserve(), known),)

    def text(self, text: str) -> Symbols:
        """Matches exactly this text. Raises GrammarError for half a surrogate pair."""
        self._count(len(text))
        try:
            return tuple(self._bytes(byte, byte) for byte in text.encode())
        except UnicodeEncodeError:
            raise GrammarError("it contains half a surrogate pair, which no text can contain") from None

    def characters(self, ranges: Iterable[Range], *, negated: bool = False) -> Symbols:
        """Matches one character in these ranges of code points, or with `negated` one outside them."""
        wanted = normal(ranges, negated=negated)
        if wanted not in self._characters:
            parts = [tuple(self._bytes(low, high) for low, high in sequence) for sequence in byte_sequences(wanted)]
            ascii_part = frozenset(byte for low, high in wanted for byte in range(low, min(high, 0x7F) + 1))
            longer = [part for part in parts if len(part) > 1]
            self._characters[wanted] = self.any_of([(self._set(ascii_part),), *longer] if ascii_part else longer)
        return self._characters[wanted]

    def repeat(self, symbols: Symbols, least: int, most: int | None) -> Symbols:
        """Repeats the symbols `least` to `most` times; without `most` any number of times."""
        if least * len(symbols) > MAX_SYMBOLS or (most or 0) > MAX_SYMBOLS:
            raise GrammarTooComplex(f"it repeats a part more than {MAX_SYMBOLS} times")
        self._count(least * len(symbols))
        fixed = symbols * least
        if most is None:
            rest = self.reserve()
            return (*fixed, self.define(rest, [(*symbols, rest), ()]))
        tail: Symbols = ()
        for _ in range(most - least):
            tail = (self.define(self.reserve(), [(*symbols, *tail), ()]),)
        return (*fixed, *tail)

    def finish(self, root: int) -> Rules:
        """Returns the checked rules. Raises GrammarError if one is missing or begins with itself, or no text fits."""
        rules: list[tuple[Symbols, ...]] = []
        for name, alternatives in zip(self._names, self._rules, strict=True):
            if alternatives is None:
                raise GrammarError(f"the rule {name!r} is used but not defined")
            rules.append(alternatives)
        possible = _closure(rules, bytes_hold=True)
        if root not in possible:
            raise GrammarError("no text can satisfy it")
        kept = [tuple(one for one in rule if _all_in(one, possible)) for rule in rules]
        self._check_beginnings(kept)
        return Rules(root, kept, tuple(self._sets))

    def _check_beginnings(self, rules: list[tuple[Symbols, ...]]) -> None:
        """Raises GrammarError for a rule that can begin with itself: it would never reach its first byte."""
        empty = _closure(rules, bytes_hold=False)
        first: list[set[int]] = []
        for rule in rules:
            begins: set[int] = set()
            for one in rule:
                for symbol in one:
                    if symbol >= 0:
                        begins.add(symbol)
                    if symbol not in empty:
                        break
            first.append(begins)
        remaining = [len(begins) for begins in first]
        beginning_with: list[list[int]] = [[] for _ in rules]
        for number, begins in enumerate(first):
            for other in begins:
                beginning_with[other].append(number)
        done = [number for number, count in enumerate(remaining) if not count]
        for number in done:  # grows: Kahn's topological order
            for other in beginning_with[number]:
                remaining[other] -= 1
                if not remaining[other]:
                    done.append(other)
        if len(done) < len(rules):
            name = next((self._names[at] for at, left in enumerate(remaining) if left and self._names[at]), "")
            raise GrammarError(f"the rule {name!r} can begin with itself" if name else "a rule can begin with itself")

    def _bytes(self, low: int, high: int) -> int:
        return self._set(frozenset(range(low, high + 1)))

    def _set(self, wanted: frozenset[int]) -> int:
        return -1 - self._sets.setdefault(wanted, len(self._sets))

    def _count(self, more: int) -> None:
        self._size += more
        if self._size > MAX_SYMBOLS:
            raise GrammarTooComplex(f"it has more than {MAX_SYMBOLS} symbols when expanded")


def _closure(rules: Sequence[Sequence[Symbols]], *, bytes_hold: bool) -> set[int]:
    """Returns the rules with an alternative made only of such rules (and of bytes, if `bytes_hold`).

    With bytes these are the rules that some text satisfies, without bytes those that the empty text does. Linear time.
    """
    users: list[list[int]] = [[] for _ in rules]
    owners: list[int] = []
    missing: list[int] = []
    ready: list[int] = []
    for number, rule in enumerate(rules):
        for one in rule:
            needs = {symbol for symbol in one if symbol >= 0}
            never = not bytes_hold and len(needs) < len(set(one))
            owners.append(number)
            missing.append(-1 if never else len(needs))
            for symbol in needs:
                users[symbol].append(len(owners) - 1)
            if not never and not needs:
                ready.append(number)
    known: set[int] = set()
    while ready:
        number = ready.pop()
        if number in known:
            continue
        known.add(number)
        for user in users[number]:
            missing[user] -= 1
            if missing[user] == 0:
                ready.append(owners[user])
    return known


def _all_in(one: Symbols, known: set[int]) -> bool:
    return all(symbol < 0 or symbol in known for symbol in one)
