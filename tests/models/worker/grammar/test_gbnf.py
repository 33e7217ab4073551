"""GBNF means the same as in llama.cpp, and no grammar exceeds its limits of time and memory."""

import ctypes
import random
import re
import time
import tracemalloc

import llama_cpp as llama
import numpy as np
import pytest

from models.child_process.messages import path_text
from models.types import LoadSettings
from models.worker.engine import Engine
from models.worker.grammar import GrammarError, GrammarTooComplex, Matcher, State, parse_gbnf
from tests.gguf_builder import write_model

GRAMMARS = [
    'root ::= "the pump" | "the valve" " is"? [^a-z]+',
    'root ::= (("a" | "bc"){1,3} "\\n")* "é" [α-ω]{2,}  # Greek',
    'root ::= list\nlist ::= "[" (item ("," item)*)? "]"\nitem ::= [0-9]+ | list | \'"\' | . '.replace("'\"'", '"\\""'),
    'root ::= expr\nexpr ::= term (("+" | "-") term)*\nterm ::= [0-9]{1,2} | "(" expr ")"',
    'root ::= [\\x41-\\u0043] ( "x"\n | "y" ) "\\U0001F600"?',
    'root ::= "" | "a" root',
]
NEVER = {bytes([byte]) for byte in (0xC0, 0xC1, *range(0xF5, 0x100))}


def takes(grammar: str, text: str) -> bool:
    matcher = Matcher(parse_gbnf(grammar))
    state = matcher.after(matcher.start, text.encode())
    return bool(state and state.complete)


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Engine:
    return Engine(path_text(write_model(tmp_path_factory.mktemp("m") / "m.gguf")), LoadSettings(context=64, threads=1))


def allowed_by_llama(engine: Engine, sampler: object) -> set[int]:
    size = engine.vocabulary.size
    data = np.zeros(size, np.dtype([("id", np.int32), ("logit", np.float32), ("p", np.float32)]))
    data["id"] = np.arange(size)
    array = llama.llama_token_data_array(
        data=ctypes.cast(data.ctypes.data, ctypes.POINTER(llama.llama_token_data)), size=size, selected=-1, sorted=False
    )
    llama.llama_sampler_apply(sampler, ctypes.byref(array))
    return set(data["id"][np.isfinite(data["logit"])].tolist())


def allowed_here(engine: Engine, matcher: Matcher, state: State) -> set[int]:
    fits = set()
    for token in range(engine.vocabulary.size):
        piece = engine.vocabulary.piece(token)
        ends = engine.vocabulary.is_end(token)
        if state.complete if ends else piece and piece[0] and matcher.after(state, piece):
            fits.add(token)
    return fits


@pytest.mark.parametrize("grammar", GRAMMARS)
def test_llama_cpp_allows_the_same_tokens(engine: Engine, grammar: str) -> None:
    """Compares every step of random walks, except bytes that UTF-8 never has: llama.cpp allows some of them."""
    never = {token for token in range(engine.vocabulary.size) if engine.vocabulary.piece(token)[:1] in NEVER}
    choose = random.Random(grammar)
    for _ in range(4):
        matcher = Matcher(parse_gbnf(grammar))
        state: State | None = matcher.start
        sampler = llama.llama_sampler_init_grammar(engine.vocabulary.pointer, grammar.encode(), b"root")
        for _ in range(12):
            assert state
            ours = allowed_here(engine, matcher, state)
            assert ours == allowed_by_llama(engine, sampler) - never
            going_on = sorted(token for token in ours if not engine.vocabulary.is_end(token))
            if not going_on:
                break
            token = choose.choice(going_on)
            llama.llama_sampler_accept(sampler, token)
            state = matcher.after(state, engine.vocabulary.piece(token))
        llama.llama_sampler_free(sampler)


def test_character_sets_are_those_of_regular_expressions() -> None:
    choose = random.Random(1)
    edges = [0, 0x7F, 0x80, 0x7FF, 0x800, 0xD7FF, 0xE000, 0xFFFF, 0x10000, 0x10FFFF]
    for _ in range(60):
        low, high = sorted(min(max(choose.choice(edges) + choose.randrange(-3, 4), 0), 0x10FFFF) for _ in range(2))
        negated = choose.random() < 0.5
        if (low >= 0xD800 and high <= 0xDFFF and not negated) or ((low, high) == (0, 0x10FFFF) and negated):
            continue  # no character at all
        matcher = Matcher(parse_gbnf(f"root ::= [{'^' * negated}\\U{low:08X}-\\U{high:08X}]"))
        for code in (low - 1, low, low + 1, high - 1, high, high + 1, *edges):
            if 0 <= code <= 0x10FFFF and not 0xD800 <= code <= 0xDFFF:
                state = matcher.after(matcher.start, chr(code).encode())
                assert bool(state) == ((low <= code <= high) != negated), (low, high, negated, code)


@pytest.mark.parametrize(
    ("grammar", "why"),
    [
        ("", "no rule 'root'"),
        ('root ::= "a', "line 1: a text or a set of characters is not closed"),
        ('root ::= "a"\nx = "b"', "line 2: '::=' is expected"),
        ('root ::= "a"\nroot ::= "b"', "defined twice"),
        ("root ::= x", "'x' is used but not defined"),
        ("root ::= root", "no text"),
        ('root ::= "a" root', "no text"),
        ('root ::= root "a" | "b"', "can begin with itself"),
        ('root ::= a root "y" | "z"\na ::= b b\nb ::= "" | "x"', "can begin with itself"),
        ("root ::= <think>", "tokens are not supported"),
        ('root ::= "\\q"', "unknown escape"),
        ("root ::= [z-a]", "is empty"),
        ('root ::= "a"{5,2}', "from more to less"),
        ('root ::= * "a"', "nothing before"),
    ],
)
def test_an_invalid_grammar_is_refused_with_the_reason(grammar: str, why: str) -> None:
    with pytest.raises(GrammarError, match=re.escape(why)):
        parse_gbnf(grammar)


@pytest.mark.parametrize(
    "grammar",
    [
        "root ::= " + "(" * 5_000 + '"a"' + ")" * 5_000,
        'root ::= "ab"{0,99999}',
        "root ::= " + "x" * 300_000,
    ],
)
def test_a_grammar_that_is_too_large_is_refused_at_once(grammar: str) -> None:
    began = time.process_time()
    with pytest.raises(GrammarTooComplex):
        parse_gbnf(grammar)
    assert time.process_time() - began < 2


def test_a_long_chain_of_rules_does_not_overflow_the_stack() -> None:
    chain = "\n".join(f"r{at} ::= r{at + 1}" for at in range(1_500))
    assert takes(f'root ::= r0\n{chain}\nr1500 ::= "a"', "a")


def test_ambiguity_that_doubles_at_every_letter_is_refused_quickly() -> None:
    matcher = Matcher(parse_gbnf('root ::= x\nx ::= "a" (x "b" | x "c") | "d"'))
    began = time.process_time()
    with pytest.raises(GrammarTooComplex, match="ambiguous"):
        matcher.after(matcher.start, b"a" * 64)
    assert time.process_time() - began < 2
    state = matcher.after(matcher.start, b"aad")
    assert state
    assert not state.complete  # the known states stay usable


def test_a_full_cache_is_cleared_and_matching_continues() -> None:
    matcher = Matcher(parse_gbnf('root ::= "[" root "]" | [a-z]{3000}'))
    state: State | None = matcher.start
    for _ in range(60):
        for letter in (b"[" * 400, b"x" * 2000):
            following = matcher.after(matcher.start, letter)
            assert following
    state = matcher.after(matcher.start, b"[" * 50 + b"x" * 3000 + b"]" * 50)
    assert state
    assert state.complete
    assert len(matcher._nodes) <= 100_000


def test_states_count_towards_the_limit_of_the_cache() -> None:
    """Every text of a's and b's has its own state here, since the last 24 letters count."""
    matcher = Matcher(parse_gbnf('root ::= [ab]* "a" ' + "[ab] " * 23))
    state: State | None = matcher.start
    choose = random.Random(1)
    tracemalloc.start()
    try:
        for _ in range(40_000):
            assert state
            state = matcher.after(state, choose.choice([b"a", b"b"]))
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert most < 30e6
