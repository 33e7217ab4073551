"""Checks what is sent to a provider. Pure.

Rule: text that is not Unicode and schemas that are not JSON are found here, before the request is written. What a
server does not support is refused, never dropped.
"""

import json
from collections.abc import Iterable
from typing import NoReturn

from models.errors import InvalidPrompt, NotSupported
from models.types import Sampling

Schema = dict[str, object] | bool
_PLAIN = Sampling()
_DEEPEST = 100
"""A depth that the library which encodes it can handle, however deep the call stack is."""
_HINT = "send a JSON schema: an object with finite numbers, nested at most 100 times"


def _clean(text: str) -> str:
    """Replaces half a surrogate pair by a question mark, as for a model on this machine."""
    return text.encode("utf-8", "replace").decode()


def schema_of(text: str, what: str) -> Schema:
    """Parse a JSON schema. Raises InvalidPrompt if it is invalid, or cannot be written as JSON again."""
    try:
        read = json.loads(text, parse_constant=_no_number)
        schema = json.loads(_clean(json.dumps(read, ensure_ascii=False, allow_nan=False)))
    except (ValueError, RecursionError) as error:
        why = "it is nested too deeply" if isinstance(error, RecursionError) else str(error)
        raise InvalidPrompt(what, f"the JSON schema cannot be read: {why}", _HINT) from error
    if _is_deep(schema):
        raise InvalidPrompt(what, f"the JSON schema is nested more than {_DEEPEST} times", _HINT)
    if not isinstance(schema, dict | bool):
        raise InvalidPrompt(what, "the JSON schema is neither an object nor true or false", _HINT)
    return schema


def refuse(sampling: Sampling, names: Iterable[str], what: str) -> None:
    """Raises NotSupported if one of these fields, which a server does not support, differs from its default."""
    for name in names:
        if getattr(sampling, name) != getattr(_PLAIN, name):
            raise NotSupported(what, f"it does not support {name}", "leave it out, or use a model on this machine")


def _is_deep(value: object) -> bool:
    level = [value]
    for _ in range(_DEEPEST + 1):
        level = [one for outer in level for one in _inside(outer)]
    return bool(level)


def _inside(value: object) -> list[object]:
    return list(value.values()) if isinstance(value, dict) else value if isinstance(value, list) else []


def _no_number(name: str) -> NoReturn:
    raise ValueError(f"{name} is not a JSON number")
