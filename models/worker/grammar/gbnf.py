"""Reads GBNF, llama.cpp's grammar notation: https://github.com/ggml-org/llama.cpp/blob/master/grammars/README.md.

Supports everything except references to tokens (`<think>`, `<[123]>`). Every error names its line.
"""

import re
from typing import Final, NoReturn

from models.worker.grammar.errors import GrammarError, GrammarTooComplex
from models.worker.grammar.rules import Builder, Rules, Symbols
from models.worker.grammar.utf8_ranges import LAST, Range

MAX_LENGTH: Final = 256 * 1024  # characters; chosen by eye
_DEEPEST: Final = 100  # nested brackets; each takes four of Python's 1,000 calls
_NAME: Final = re.compile(r"[A-Za-z0-9_-]+")
_BLANK: Final = re.compile(r"(?:[ \t]|#[^\r\n]*)*")
_BLANK_LINES: Final = re.compile(r"(?:[ \t\r\n]|#[^\r\n]*)*")
_TIMES: Final = re.compile(r"\{\s*(\d{1,9})\s*(?:(,)\s*(\d{1,9})?\s*)?\}")
_HEX: Final = {"x": 2, "u": 4, "U": 8}
_ESCAPED: Final = {"n": "\n", "r": "\r", "t": "\t", "\\": "\\", '"': '"', "[": "[", "]": "]"}
_COUNTS: Final[dict[str, tuple[int, int | None]]] = {"*": (0, None), "+": (1, None), "?": (0, 1)}


def parse_gbnf(text: str) -> Rules:
    """Returns the rules, starting at the rule `root`. Raises GrammarError."""
    if len(text) > MAX_LENGTH:
        raise GrammarTooComplex(f"it has {len(text)} characters, the limit is {MAX_LENGTH}")
    return _Parser(text).rules()


class _Parser:
    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0
        self._builder = Builder()
        self._known: dict[str, int] = {}
        self._defined: set[str] = set()

    def rules(self) -> Rules:
        self._skip(lines=True)
        while self._at < len(self._text):
            self._rule()
            self._skip(lines=True)
        if "root" not in self._defined:
            raise GrammarError("it has no rule 'root'")
        return self._builder.finish(self._known["root"])

    def _rule(self) -> None:
        name = self._name()
        self._skip()
        if not self._text.startswith("::=", self._at):
            self._refuse("'::=' is expected after the name of a rule")
        self._at += 3
        self._skip(lines=True)
        if name in self._defined:
            self._refuse(f"the rule {name!r} is defined twice")
        self._defined.add(name)
        self._builder.define(self._reference(name), self._alternatives(0))
        if self._peek() not in ("", "\n", "\r"):
            self._refuse(f"{self._peek()!r} is not expected")

    def _alternatives(self, depth: int) -> list[Symbols]:
        found = [self._sequence(depth)]
        while self._peek() == "|":
            self._at += 1
            self._skip(lines=True)
            found.append(self._sequence(depth))
        return found

    def _sequence(self, depth: int) -> Symbols:
        symbols: Symbols = ()
        while (item := self._item(depth)) is not None:
            self._skip(lines=depth > 0)
            while (count := self._count()) is not None:
                item = self._builder.repeat(item, *count)
                self._skip(lines=depth > 0)
            symbols += item
        return symbols

    def _item(self, depth: int) -> Symbols | None:
        mark = self._peek()
        if mark == '"':
            return self._literal()
        if mark == "[":
            return self._set()
        if mark == ".":
            self._at += 1
            return self._builder.characters([(0, LAST)])
        if mark == "(":
            return self._group(depth)
        if mark in ("<", "!") and mark:
            self._refuse("references to tokens are not supported")
        if mark in ("*", "+", "?", "{") and mark:
            self._refuse(f"there is nothing before {mark!r} to repeat")
        return (self._reference(self._name()),) if _NAME.match(mark) else None

    def _group(self, depth: int) -> Symbols:
        if depth >= _DEEPEST:
            raise GrammarTooComplex(f"its brackets are nested more than {_DEEPEST} levels deep")
        self._at += 1
        self._skip(lines=True)
        inner = self._builder.any_of(self._alternatives(depth + 1))
        if self._peek() != ")":
            self._refuse("')' is expected")
        self._at += 1
        return inner

    def _count(self) -> tuple[int, int | None] | None:
        mark = self._peek()
        if mark in _COUNTS:
            self._at += 1
            return _COUNTS[mark]
        if mark != "{":
            return None
        found = _TIMES.match(self._text, self._at)
        if not found:
            self._refuse("a count such as {2}, {2,} or {2,5} is expected")
        self._at = found.end()
        least = int(found[1])
        most = (int(found[3]) if found[3] else None) if found[2] else least
        if most is not None and most < least:
            self._refuse(f"the count {found[0]} goes from more to less")
        return least, most

    def _literal(self) -> Symbols:
        self._at += 1
        letters = []
        while self._peek() != '"':
            letters.append(self._letter())
        self._at += 1
        return self._builder.text("".join(letters))

    def _set(self) -> Symbols:
        self._at += 1
        negated = self._peek() == "^"
        self._at += negated
        ranges: list[Range] = []
        while self._peek() != "]":
            low = high = ord(self._letter())
            if self._peek() == "-" and self._text[self._at + 1 : self._at + 2] not in ("]", ""):
                self._at += 1
                high = ord(self._letter())
            if high < low:
                self._refuse(f"the range from {chr(low)!r} to {chr(high)!r} is empty")
            ranges.append((low, high))
        self._at += 1
        return self._builder.characters(ranges, negated=negated)

    def _letter(self) -> str:
        letter = self._peek()
        if letter in ("", "\n", "\r"):
            self._refuse("a text or a set of characters is not closed")
        self._at += 1
        if letter != "\\":
            return letter
        mark = self._peek()
        self._at += 1
        if mark in _ESCAPED:
            return _ESCAPED[mark]
        digits = self._text[self._at : self._at + _HEX.get(mark, 0)]
        if not re.fullmatch(r"[0-9A-Fa-f]+", digits) or len(digits) != _HEX[mark] or int(digits, 16) > LAST:
            self._refuse(f"unknown escape \\{mark}")
        self._at += len(digits)
        return chr(int(digits, 16))

    def _name(self) -> str:
        found = _NAME.match(self._text, self._at)
        if not found:
            self._refuse("the name of a rule is expected")
        self._at = found.end()
        return found[0]

    def _reference(self, name: str) -> int:
        if name not in self._known:
            self._known[name] = self._builder.reserve(name)
        return self._known[name]

    def _peek(self) -> str:
        return self._text[self._at : self._at + 1]

    def _skip(self, *, lines: bool = False) -> None:
        found = (_BLANK_LINES if lines else _BLANK).match(self._text, self._at)
        assert found
        self._at = found.end()

    def _refuse(self, why: str) -> NoReturn:
        line = self._text.count("\n", 0, self._at) + 1
        raise GrammarError(f"line {line}: {why}")
