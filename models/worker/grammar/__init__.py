"""Answers that must keep to a grammar: GBNF or a JSON schema compiled to one pushdown automaton over bytes. Pure.

Why not llama.cpp's own grammar sampler: grammars come from strangers, and some of them hang it, exhaust its memory or
abort the process (a chain of rules overflows the stack, `x ::= "a" (x "b" | x "c")` doubles the work at every letter,
a dead end throws through C), which would take everybody's answers along. Here every step is counted, and a grammar that
asks for too much is refused to its caller alone. The language is llama.cpp's GBNF, without references to tokens.
"""

from models.worker.grammar.errors import GrammarError, GrammarTooComplex
from models.worker.grammar.gbnf import parse_gbnf
from models.worker.grammar.guide import NO_TOKEN, Guide
from models.worker.grammar.json_schema import parse_schema
from models.worker.grammar.matcher import Matcher, State

__all__ = ["NO_TOKEN", "GrammarError", "GrammarTooComplex", "Guide", "Matcher", "State", "parse_gbnf", "parse_schema"]
