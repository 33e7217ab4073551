"""A schema's rules allow valid texts and forbid invalid ones; what they cannot enforce is refused."""

import contextlib
import itertools
import json
from typing import Any

import pytest

from models.worker.grammar import GrammarError, Matcher, parse_schema
from tests.models.worker.grammar.malformed import MALFORMED

NESTED: dict[str, Any] = {
    "type": "object",
    "properties": {
        "name": {"type": "string", "maxLength": 5},
        "n": {"type": "integer", "minimum": -3, "maximum": 120},
        "t": {"type": "array", "items": {"$ref": "#/$defs/item"}, "minItems": 1, "maxItems": 3},
        "d": {"type": "string", "format": "date"},
    },
    "required": ["name", "t"],
    "additionalProperties": {"type": "boolean"},
    "$defs": {"item": {"anyOf": [{"enum": ["a", 'b"\\é']}, {"type": "null"}, {"$ref": "#"}]}},
}


def takes(schema: object, text: str) -> bool:
    matcher = Matcher(parse_schema(json.dumps(schema)))
    state = matcher.after(matcher.start, text.encode())
    return bool(state and state.complete)


@pytest.mark.parametrize(
    ("value", "fits"),
    [
        ({"name": "x", "n": 120, "t": ["a", None, 'b"\\é'], "d": "2020-01-31", "zz": True}, True),
        ({"name": "", "t": [{"name": "ééééé", "t": [None]}]}, True),
        ({"name": "xxxxxx", "t": [None]}, False),
        ({"name": "x", "t": []}, False),
        ({"name": "x", "t": [None] * 4}, False),
        ({"t": [None], "name": "x"}, False),
        ({"name": "x", "n": 121, "t": [None]}, False),
        ({"name": "x", "n": -4, "t": [None]}, False),
        ({"name": "x", "t": [None], "d": "2020-13-01"}, False),
        ({"name": "x", "t": [None], "more": 1}, False),
        ({"name": "x"}, False),
    ],
)
def test_objects_arrays_and_references(value: object, fits: bool) -> None:
    for text in (json.dumps(value, ensure_ascii=False), json.dumps(value, separators=(",", ":"), ensure_ascii=False)):
        assert takes(NESTED, text) == fits


def test_an_extra_property_cannot_take_the_name_of_a_known_one() -> None:
    assert not takes(NESTED, '{"name":"x","t":[null],"name":true}')
    assert not takes(NESTED, '{"name":"x","t":[null],"n\\u0061me":true}')
    assert takes(NESTED, '{"name":"x","t":[null],"names":true,"nam":false}')


@pytest.mark.parametrize(("low", "high"), [(-3, 120), (5, 1099), (None, 7), (99, None), (-25, -3), (0, 0), (-1, 0)])
def test_bounds_of_integers_are_exact(low: int | None, high: int | None) -> None:
    bounds = {"minimum": low, "maximum": high}
    schema = {"type": "integer", **{key: value for key, value in bounds.items() if value is not None}}
    matcher = Matcher(parse_schema(json.dumps(schema)))
    for number in range(-130, 1230):
        state = matcher.after(matcher.start, str(number).encode())
        fits = (low is None or low <= number) and (high is None or number <= high)
        assert bool(state and state.complete) == fits, number


def test_any_selection_of_optional_properties_has_the_right_commas() -> None:
    names = ["a", "b", "c", "d"]
    schema = {"type": "object", "properties": {name: {"const": 1} for name in names}, "required": ["b"]}
    for chosen in itertools.chain.from_iterable(itertools.combinations(names, size) for size in range(5)):
        assert takes(schema, json.dumps(dict.fromkeys(chosen, 1))) == ("b" in chosen)


def test_an_empty_schema_allows_any_json() -> None:
    value = {"a": [1, -2.5e10, 0, {"b": 'é\n"\\'}], "": {}, "l": [[], [None, True, False]], "😀": ""}
    for text in (json.dumps(value), json.dumps(value, ensure_ascii=False), json.dumps(value, indent=2)):
        readable = text if "\\ud83d" not in text else text.replace("\\ud83d\\ude00", "x")  # no surrogate escapes
        assert takes({}, readable)
        assert takes({"type": "object"}, readable)
    for wrong in ("", "{", '{"a"}', "[1,]", "01", "+1", "'a'", "nul", '"\n"', '"\\ud800"'):
        assert not takes(True, wrong)


@pytest.mark.parametrize(
    ("schema", "why"),
    [
        ({"type": "integer", "minimum": 5, "maximum": 3}, "no text can satisfy it"),
        ({"enum": []}, "no text can satisfy it"),
        (False, "no text can satisfy it"),
        ({"type": "array", "minItems": 3, "maxItems": 1}, "no text can satisfy it"),
        ({"$ref": "#"}, "no text can satisfy it"),
        ({"type": "object", "required": ["a"], "additionalProperties": False}, "no text can satisfy it"),
        ({"type": "string", "pattern": "a"}, "'pattern' is not supported"),
        ({"type": "number", "maximum": 2}, "maximum is not supported for number"),
        ({"type": "array", "uniqueItems": True}, "'uniqueItems' is not supported"),
        ({"not": {}}, "'not' is not supported"),
        ({"$ref": "https://example.com/x"}, "only references within"),
        ({"$ref": "#/$defs/absent"}, "there is nothing at"),
        ({"type": "string", "format": "email"}, "'email' is not supported"),
        ({"type": "array", "minItems": 10**9}, "more than"),
        ({"type": "string", "maxLength": 10**9}, "more than"),
        ({"allOf": [{"type": "string", "minLength": 1}, {"minLength": 2}]}, "joining different 'minLength'"),
        ([], "a schema must be an object"),
    ],
)
def test_a_schema_that_cannot_be_enforced_is_refused(schema: object, why: str) -> None:
    with pytest.raises(GrammarError, match=why.replace("$", r"\$")):
        parse_schema(json.dumps(schema))


@pytest.mark.parametrize("text", ["", "{", '{"minimum": NaN}', "[" * 100_000])
def test_text_that_is_not_json_is_refused(text: str) -> None:
    with pytest.raises(GrammarError):
        parse_schema(text)


@pytest.mark.parametrize("what", MALFORMED)
def test_malformed_schemas_are_refused_as_grammar_errors(what: str) -> None:
    with pytest.raises(GrammarError):
        parse_schema(MALFORMED[what])


def test_a_long_name_does_not_overflow_the_stack() -> None:
    long = "a" * 1_200
    schema = {"type": "object", "properties": {long: {"const": 1}}, "additionalProperties": True}
    assert takes(schema, json.dumps({long: 1, long[:-1]: 2, long + "b": 3}))
    assert not takes(schema, json.dumps({long: 2}))


def test_deep_values_are_read_or_refused() -> None:
    for depth in range(700, 1_000, 5):
        value = "[" * depth + "]" * depth
        with contextlib.suppress(GrammarError):
            parse_schema(f'{{"const": {value}, "enum": [{value}]}}')


def test_depth_counts_references_too() -> None:
    schema: dict[str, Any] = {"$ref": "#/$defs/d0", "$defs": {"d30": {"type": "null"}}}
    for at in range(30):
        schema["$defs"][f"d{at}"] = {"anyOf": [{"$ref": f"#/$defs/d{at + 1}"}]}
    assert not takes(schema, "1")
    with pytest.raises(GrammarError, match="levels"):
        parse_schema(MALFORMED["a chain of 300 references"])
