"""Constrains answers to a grammar: compiles GBNF or a JSON schema to a pushdown automaton over bytes. Pure.

Why not llama.cpp's grammar sampler: grammars come from strangers, and some hang it, exhaust its memory or abort the
process, which would end every other answer too. A chain of rules overflows the stack, `x ::= "a" (x "b" | x "c")` doubles
the work at every letter, a dead end throws through C. Here every step is counted, and a grammar that needs too much fails
its own request only. The language is llama.cpp's GBNF without references to tokens.
Door: `guide`.
"""

from models.worker.grammar.errors import GrammarError, GrammarTooComplex
from models.worker.grammar.gbnf import parse_gbnf
from models.worker.grammar.guide import NO_TOKEN, Guide
from models.worker.grammar.json_schema import parse_schema
from models.worker.grammar.matcher import Matcher, State

__all__ = ["NO_TOKEN", "GrammarError", "GrammarTooComplex", "Guide", "Matcher", "State", "parse_gbnf", "parse_schema"]
