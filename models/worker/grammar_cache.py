"""Inside the child: grammars of requests, read once and shared by those that are alike.

Rule: reading one takes a bounded time, as everybody waits meanwhile; what is wrong with it is its caller's InvalidPrompt.
"""

from collections import OrderedDict
from typing import Final

from models.errors import InvalidPrompt
from models.worker.grammar import GrammarError, Guide, Matcher, parse_gbnf, parse_schema
from models.worker.grammar.guide import Tokens
from models.worker.limits import TimeIsUp, cpu_time

_SECONDS: Final = 2.0
_KEPT: Final = 8
_MOST_LETTERS: Final = 1_000  # of what is said about it, which may quote it


class GrammarCache:
    """Makes guides for one model's tokens. Belongs to the main thread."""

    def __init__(self, tokens: Tokens) -> None:
        self._tokens = tokens
        self._matchers: OrderedDict[tuple[str | None, str | None], Matcher] = OrderedDict()

    def guide(self, grammar: str | None, json_schema: str | None) -> Guide | None:
        """A new guide, None if neither is given. Raises InvalidPrompt."""
        if grammar is None and json_schema is None:
            return None
        what = "reading the grammar" if json_schema is None else "reading the JSON schema"
        if grammar is not None and json_schema is not None:
            raise InvalidPrompt(what, "there is a grammar as well as a JSON schema", "send one of them")
        key = (grammar, json_schema)
        if key not in self._matchers:
            self._matchers[key] = _read(what, grammar, json_schema)
        self._matchers.move_to_end(key)
        while len(self._matchers) > _KEPT:
            self._matchers.popitem(last=False)
        return Guide(self._matchers[key], self._tokens)


def _read(what: str, grammar: str | None, json_schema: str | None) -> Matcher:
    hint = "see docs/api.md for what grammars and schemas may hold"
    try:
        with cpu_time(_SECONDS):
            return Matcher(parse_gbnf(grammar) if grammar is not None else parse_schema(json_schema or ""))
    except GrammarError as error:
        raise InvalidPrompt(what, str(error)[:_MOST_LETTERS], hint) from error
    except TimeIsUp as error:
        raise InvalidPrompt(what, f"it took more than {_SECONDS:g} s", hint) from error
    except Exception as error:  # a stranger's program: what was not foreseen in it must not end everybody's process
        raise InvalidPrompt(
            what, f"it cannot be read: {type(error).__name__}: {error}"[:_MOST_LETTERS], hint
        ) from error
