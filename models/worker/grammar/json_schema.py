"""Turns a JSON schema into grammar rules.

Rule: every text that the rules allow is valid. A keyword that cannot be enforced is refused, never ignored.

Supported: type (also a list), enum, const, properties, required, additionalProperties, items, prefixItems, minItems,
maxItems, minLength, maxLength, format (date, time, date-time, uuid), minimum and maximum of integers, exclusive or not,
anyOf, oneOf (as anyOf: that only one alternative fits cannot be guaranteed), allOf of objects, and $ref within the schema,
also to itself. Three things are narrower than the schema allows: properties come in the order of the schema; an object
with `properties` and without `additionalProperties` has no others; a schema without `type` whose keywords belong to one
type is of that type.
"""

import json
import math
from collections.abc import Mapping, Sequence
from typing import Any, Final, NoReturn
from urllib.parse import unquote

from models.worker.grammar.errors import GrammarError, GrammarTooComplex
from models.worker.grammar.json_rules import FORMATS, JsonRules
from models.worker.grammar.rules import MAX_SYMBOLS, Builder, Rules, Symbols

MAX_LENGTH: Final = 256 * 1024  # characters; chosen by eye
_DEEPEST: Final = 80  # nested schemas, including references; each takes up to nine of Python's 1,000 calls
_PLACE_DIGITS: Final = 6  # of an index in a reference; Python refuses to read thousands
_KEYWORDS: Final = {
    "object": {"properties", "required", "additionalProperties"},
    "array": {"items", "prefixItems", "minItems", "maxItems"},
    "string": {"minLength", "maxLength", "format"},
    "integer": {"minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"},
    "number": set[str](),
    "boolean": set[str](),
    "null": set[str](),
}
_OTHERS: Final = {"type", "enum", "const", "anyOf", "oneOf", "allOf", "$ref"}
_ANNOTATIONS: Final = {
    "title", "description", "default", "example", "examples", "deprecated", "readOnly", "writeOnly", "$schema", "$id",
    "$comment", "$defs", "definitions", "discriminator",
}  # fmt: skip
Schema = Mapping[str, Any]


def parse_schema(text: str) -> Rules:
    """Returns rules that allow only JSON texts valid under the schema. Raises GrammarError."""
    if len(text) > MAX_LENGTH:
        raise GrammarTooComplex(f"it has {len(text)} characters, the limit is {MAX_LENGTH}")
    try:
        return _Converter(_read(text)).rules()
    except RecursionError:  # also from values, which are compared and written out
        raise GrammarTooComplex("it is nested too deeply") from None


def _read(text: str) -> object:
    try:
        return json.loads(text, parse_constant=_no_constant, parse_float=_finite)
    except ValueError as error:
        raise GrammarError(f"it is not JSON: {error}") from None


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


def _finite(digits: str) -> float:
    number = float(digits)
    if not math.isfinite(number):
        raise ValueError(f"the number {digits[:20]} is too large")
    return number


class _Converter:
    def __init__(self, schema: object) -> None:
        self._schema = schema
        self._builder = Builder()
        self._json = JsonRules(self._builder)
        self._references: dict[str, int] = {}
        self._depth = 0

    def rules(self) -> Rules:
        root = self._builder.reserve()
        self._builder.define(root, [self._visit(self._schema, "#")])
        return self._builder.finish(root)

    def _visit(self, schema: object, place: str) -> Symbols:
        """`place` is the schema's position, for messages."""
        if schema is True:
            return self._json.value
        if schema is False:
            return self._never
        if not isinstance(schema, dict):
            raise GrammarError(f"at {place}: a schema must be an object, true or false")
        if self._depth >= _DEEPEST:
            raise GrammarTooComplex(f"it is nested more than {_DEEPEST} levels deep")
        self._depth += 1
        symbols = self._of(schema, place)
        self._depth -= 1
        return symbols

    def _of(self, schema: Schema, place: str) -> Symbols:
        assertions = {key: value for key, value in schema.items() if key not in _ANNOTATIONS}
        self._check_keywords(assertions, place)
        for keyword, way in (
            ("$ref", self._refer),
            ("allOf", self._merge_all),
            ("anyOf", self._choose),
            ("oneOf", self._choose),
        ):
            if keyword in assertions:
                value = assertions.pop(keyword)
                return way(value, assertions, f"{place}/{keyword}")
        if "const" in assertions or "enum" in assertions:
            return self._listed(assertions, place)
        return self._typed(assertions, place)

    @property
    def _never(self) -> Symbols:
        return (self._builder.define(self._builder.reserve(), []),)

    def _check_keywords(self, assertions: Schema, place: str) -> None:
        known = _OTHERS.union(*_KEYWORDS.values())
        for keyword in assertions:
            if keyword not in known:
                raise GrammarError(f"at {place}: the keyword {keyword!r} is not supported")

    # -- schemas made of schemas ----------------------------------------------------------------------------------

    def _refer(self, reference: object, others: Schema, place: str) -> Symbols:
        if others:
            raise GrammarError(f"at {place}: {', '.join(sorted(others))} together with $ref is not supported")
        target = self._target(reference, place)
        assert isinstance(reference, str)
        if reference not in self._references:
            rule = self._references[reference] = self._builder.reserve(reference)
            self._builder.define(rule, [self._visit(target, reference)])
        return (self._references[reference],)

    def _target(self, reference: object, place: str) -> object:
        if not isinstance(reference, str) or not (reference == "#" or reference.startswith("#/")):
            raise GrammarError(f"at {place}: only references within the schema are followed, such as '#/$defs/item'")
        target: Any = self._schema
        for part in reference.split("/")[1:]:
            name = unquote(part).replace("~1", "/").replace("~0", "~")
            if isinstance(target, dict) and name in target:
                target = target[name]
            elif isinstance(target, list) and _is_place(name, target):
                target = target[int(name)]
            else:
                raise GrammarError(f"at {place}: there is nothing at {reference!r}")
        return target

    def _choose(self, alternatives: object, others: Schema, place: str) -> Symbols:
        if not isinstance(alternatives, list) or not alternatives:
            raise GrammarError(f"at {place}: a list of schemas is expected")
        merged = [self._both(one, others, place) if others else one for one in alternatives]
        return self._builder.any_of([self._visit(one, f"{place}/{at}") for at, one in enumerate(merged)])

    def _merge_all(self, parts: object, others: Schema, place: str) -> Symbols:
        if not isinstance(parts, list) or not parts:
            raise GrammarError(f"at {place}: a list of schemas is expected")
        whole: object = dict(others)
        for part in parts:
            whole = self._both(part, whole, place)
        return self._visit(whole, place)

    def _both(self, one: object, other: object, place: str) -> Schema:
        """Returns a schema that demands what both do."""
        for _ in range(_DEEPEST):
            if not (isinstance(one, dict) and set(one).difference(_ANNOTATIONS) == {"$ref"}):
                break
            one = self._target(one["$ref"], place)
        if not isinstance(one, dict) or not isinstance(other, dict):
            raise GrammarError(f"at {place}: only schemas that are objects can be joined")
        both = {**other, **one}
        for keyword in (set(one) & set(other)) - _ANNOTATIONS:
            here, there = one[keyword], other[keyword]
            if (
                keyword == "properties"
                and isinstance(here, dict)
                and isinstance(there, dict)
                and not set(here) & set(there)
            ):
                both[keyword] = {**there, **here}
            elif keyword == "required" and isinstance(here, list) and isinstance(there, list):
                both[keyword] = [*there, *here]
            elif here != there:
                raise GrammarError(f"at {place}: joining different {keyword!r} is not supported")
        return both

    # -- values ---------------------------------------------------------------------------------------------------

    def _listed(self, assertions: dict[str, Any], place: str) -> Symbols:
        values = [assertions.pop("const")] if "const" in assertions else assertions["enum"]
        allowed = assertions.pop("enum", values)
        types = _types(assertions.pop("type"), place) if "type" in assertions else None
        if assertions:
            raise GrammarError(
                f"at {place}: {', '.join(sorted(assertions))} together with enum or const is not supported"
            )
        if not isinstance(values, list) or not isinstance(allowed, list):
            raise GrammarError(f"at {place}: enum must be a list of values")
        fit = [value for value in values if value in allowed and (types is None or _is_of(value, types))]
        return self._builder.any_of([self._json.literal(value) for value in fit]) if fit else self._never

    def _typed(self, assertions: Schema, place: str) -> Symbols:
        if "type" in assertions:
            types = _types(assertions["type"], place)
        else:
            types = [kind for kind, keywords in _KEYWORDS.items() if keywords & set(assertions)]
            if not types:
                return self._json.value
            if len(types) > 1:
                raise GrammarError(f"at {place}: {', '.join(sorted(assertions))} belong to several types; add 'type'")
        unsupported = set(assertions).difference({"type"}, *(_KEYWORDS[one] for one in types))
        if unsupported:
            raise GrammarError(
                f"at {place}: {', '.join(sorted(unsupported))} is not supported for {' or '.join(types)}"
            )
        return self._builder.any_of([self._one_type(one, assertions, place) for one in types])

    def _one_type(self, kind: str, assertions: Schema, place: str) -> Symbols:
        match kind:
            case "object":
                return self._object(assertions, place)
            case "array":
                return self._array(assertions, place)
            case "string":
                return self._string(assertions, place)
            case "integer":
                return self._integer(assertions, place)
            case "number":
                return self._json.number
            case "boolean":
                return self._builder.any_of([self._builder.text("true"), self._builder.text("false")])
            case _:
                return self._builder.text("null")

    def _string(self, assertions: Schema, place: str) -> Symbols:
        least, most = _count(assertions, "minLength", place) or 0, _count(assertions, "maxLength", place)
        form = assertions.get("format")
        if form is None:
            return self._never if most is not None and most < least else self._json.string(least, most)
        if form not in FORMATS or least or most is not None:
            raise GrammarError(f"at {place}: the format {form!r} is not supported, or not together with a length")
        return self._json.formatted(form)

    def _integer(self, assertions: Schema, place: str) -> Symbols:
        bounds: dict[str, int] = {}
        for keyword in _KEYWORDS["integer"] & set(assertions):
            value = assertions[keyword]
            if isinstance(value, bool) or not isinstance(value, int | float) or value != int(value):
                raise GrammarError(f"at {place}: {keyword} must be a whole number")
            if abs(value) >= 10**18:
                raise GrammarError(f"at {place}: {keyword} may have at most 18 digits")
            bounds[keyword] = int(value)
        if not bounds:
            return self._json.integer
        lows = [bounds[key] + more for key, more in (("minimum", 0), ("exclusiveMinimum", 1)) if key in bounds]
        highs = [bounds[key] - less for key, less in (("maximum", 0), ("exclusiveMaximum", 1)) if key in bounds]
        return self._json.integers(max(lows, default=None), min(highs, default=None))

    # -- objects and arrays ---------------------------------------------------------------------------------------

    def _object(self, assertions: Schema, place: str) -> Symbols:
        properties, required = assertions.get("properties", {}), assertions.get("required", [])
        if not isinstance(properties, dict) or not isinstance(required, list):
            raise GrammarError(f"at {place}: properties must be an object, required a list")
        more = assertions.get("additionalProperties", not assertions.get("properties"))
        if not all(isinstance(name, str) for name in required):
            raise GrammarError(f"at {place}: required must be a list of names")
        wanted = {**properties, **{name: more for name in required if name not in properties}}
        if len(wanted) == 0 and more is True:
            return self._json.object
        entries = [
            (self._pair(name, schema, f"{place}/properties/{name}"), name in required)
            for name, schema in wanted.items()
        ]
        extra: Symbols | None = None
        if more is not False:
            key = self._json.key_other_than(wanted)
            extra = self._json.pair(key, self._visit(more, f"{place}/additionalProperties"))
        return self._json.wrapped("{}", self._entries(entries, extra))

    def _pair(self, name: str, schema: object, place: str) -> Symbols:
        return self._json.pair(self._json.literal(name), self._visit(schema, place))

    def _entries(self, entries: Sequence[tuple[Symbols, bool]], extra: Symbols | None) -> Symbols:
        """Matches the entries in order, optional ones present or not, then any number of `extra` ones."""
        build, comma = self._builder, self._json.comma
        first: Symbols = ()  # at the start, where no comma comes before
        later: Symbols = ()
        if extra:
            later = build.repeat((*comma, *extra), 0, None)
            first = build.any_of([(), (*extra, *later)])
        for entry, required in reversed(entries):
            begin = [(*entry, *later), *(() if required else (first,))]
            go_on = [(*comma, *entry, *later), *(() if required else (later,))]
            first = (build.define(build.reserve(), begin),)
            later = (build.define(build.reserve(), go_on),)
        return first

    def _array(self, assertions: Schema, place: str) -> Symbols:
        least, most = _count(assertions, "minItems", place) or 0, _count(assertions, "maxItems", place)
        prefix, items = assertions.get("prefixItems", []), assertions.get("items")
        if isinstance(items, list):  # the form of drafts before 2020-12
            prefix, items = items, None
        if not isinstance(prefix, list):
            raise GrammarError(f"at {place}: prefixItems must be a list of schemas")
        if items is None:
            items = not prefix
        if items is False:
            most = len(prefix) if most is None else min(most, len(prefix))
        if most is not None and most < least:
            return self._never
        if least > MAX_SYMBOLS:
            raise GrammarTooComplex(f"at {place}: an array of more than {MAX_SYMBOLS} items is not supported")
        known = [self._visit(schema, f"{place}/prefixItems/{at}") for at, schema in enumerate(prefix[:most])]
        other = self._visit(items, f"{place}/items") if most is None or most > len(known) else ()
        return self._json.wrapped("[]", self._items(known, other, least, most))

    def _items(self, known: Sequence[Symbols], other: Symbols, least: int, most: int | None) -> Symbols:
        if most == 0:
            return ()
        build, comma = self._builder, self._json.comma
        at = max(len(known), least, 1)
        rest = build.repeat((*comma, *other), 0, None if most is None else most - at) if other else ()
        for place in range(at - 1, -1, -1):
            item = known[place] if place < len(known) else other
            way = (*(comma if place else ()), *item, *rest)
            rest = (build.define(build.reserve(), [way] if place < least else [way, ()]),)
        return rest


def _types(value: object, place: str) -> list[str]:
    types = [value] if isinstance(value, str) else value
    if not isinstance(types, list) or not all(isinstance(one, str) and one in _KEYWORDS for one in types):
        raise GrammarError(f"at {place}: {value!r} is not a type")
    return types


def _is_place(name: str, things: Sequence[object]) -> bool:
    return name.isdecimal() and len(name) <= _PLACE_DIGITS and int(name) < len(things)


def _count(assertions: Schema, keyword: str, place: str) -> int | None:
    value = assertions.get(keyword)
    if value is not None and (isinstance(value, bool) or not isinstance(value, int) or value < 0):
        raise GrammarError(f"at {place}: {keyword} must be a whole number, zero or more")
    return value


def _is_of(value: object, types: Sequence[object]) -> bool:
    kinds: dict[type, tuple[str, ...]] = {
        bool: ("boolean",), int: ("integer", "number"), float: ("number",), str: ("string",), list: ("array",),
        dict: ("object",), type(None): ("null",),
    }  # fmt: skip
    return any(kind in types for kind in kinds[type(value)])
