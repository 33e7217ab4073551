"""Compiles the grammars of requests, once for equal ones, in the child process.

Rule: compiling takes a bounded time, since all other requests wait. Whatever is wrong with a grammar becomes an
InvalidPrompt of its own request.
"""

from collections import OrderedDict
from typing import Final

from models.errors import InvalidPrompt
from models.worker.grammar import GrammarError, Guide, Matcher, parse_gbnf, parse_schema
from models.worker.grammar.guide import Tokens
from models.worker.limits import TimeIsUp, cpu_time

# Chosen by eye.
_SECONDS: Final = 2.0  # of CPU time
_KEPT: Final = 8  # compiled grammars; one holds up to about 20 MB
_MOST_LETTERS: Final = 1_000  # of an error's text, which may quote the grammar


class GrammarCache:
    """Makes guides for one model's tokens. Used by the main thread only."""

    def __init__(self, tokens: Tokens) -> None:
        self._tokens = tokens
        self._matchers: OrderedDict[tuple[str | None, str | None], Matcher] = OrderedDict()

    def guide(self, grammar: str | None, json_schema: str | None) -> Guide | None:
        """Returns a new guide, None without a grammar and schema. Raises InvalidPrompt."""
        if grammar is None and json_schema is None:
            return None
        what = "reading the grammar" if json_schema is None else "reading the JSON schema"
        if grammar is not None and json_schema is not None:
            raise InvalidPrompt(what, "the request has both a grammar and a JSON schema", "send only one of them")
        key = (grammar, json_schema)
        if key not in self._matchers:
            self._matchers[key] = _read(what, grammar, json_schema)
        self._matchers.move_to_end(key)
        while len(self._matchers) > _KEPT:
            self._matchers.popitem(last=False)
        return Guide(self._matchers[key], self._tokens)


def _read(what: str, grammar: str | None, json_schema: str | None) -> Matcher:
    hint = "see docs/api.md for what grammars and schemas may contain"
    try:
        with cpu_time(_SECONDS):
            return Matcher(parse_gbnf(grammar) if grammar is not None else parse_schema(json_schema or ""))
    except GrammarError as error:
        raise InvalidPrompt(what, str(error)[:_MOST_LETTERS], hint) from error
    except TimeIsUp as error:
        raise InvalidPrompt(what, f"it took more than {_SECONDS:g} s", hint) from error
    except Exception as error:  # a stranger's input: an unforeseen error in it must not end the process
        raise InvalidPrompt(
            what, f"it cannot be read: {type(error).__name__}: {error}"[:_MOST_LETTERS], hint
        ) from error
