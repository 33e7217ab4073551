"""Malformed schemas: of wrong types, too deep, or with numbers and names beyond any limit."""

import json
from typing import Any

_CHAIN: dict[str, Any] = {f"d{at}": {"$ref": f"#/$defs/d{at + 1}"} for at in range(300)} | {"d300": {}}


def _nested(depth: int) -> Any:
    schema: dict[str, Any] = {"type": "string"}
    for _ in range(depth):
        schema = {"type": "object", "properties": {"a": schema}, "required": ["a"]}
    return schema


MALFORMED: dict[str, str] = {
    name: text if isinstance(text, str) else json.dumps(text)
    for name, text in {
        "a number for a type beside a list": {"enum": [1], "type": 5},
        "an object for a type beside a list": {"const": 1, "type": {"integer": 1}},
        "an unknown type beside a list": {"const": 1, "type": ["integer", "whole"]},
        "a list for a type's name": {"type": [["object"]]},
        "joined properties that are numbers": {"allOf": [{"properties": 1}, {"properties": 2}]},
        "joined properties that are lists": {"allOf": [{"properties": [[]]}, {"properties": {"a": True}}]},
        "required names that are lists": {"properties": {"a": True}, "required": [["a"]]},
        "a reference with a place of 5000 digits": {"$ref": "#/$defs/" + "9" * 5_000, "$defs": [{}]},
        "a joined reference that is none": {"allOf": [{"$ref": 5}, {"type": "object"}]},
        "a chain of 300 references": {"$ref": "#/$defs/d0", "$defs": _CHAIN},
        "200 objects in each other": _nested(200),
        "a bound without end": '{"type": "integer", "minimum": 1e400}',
        "a value without end": '{"const": 1e400}',
        "a bound of 5000 digits": '{"type": "integer", "minimum": ' + "9" * 5_000 + "}",
        "a format that is a list": {"type": "string", "format": [[]]},
        "a length that is an object": {"type": "string", "minLength": {}},
        "half a surrogate pair": '{"$defs": {"\\ud800": {"foo": 1}}, "$ref": "#/$defs/\\ud800"}',
        "half a surrogate pair for a name": '{"properties": {"\\ud800": {"foo": 1}}}',
    }.items()
}
"""Texts of schemas, by what is wrong with them."""
