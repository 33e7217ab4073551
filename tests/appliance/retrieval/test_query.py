"""A question becomes quoted phrases, in all the spellings that documents use, and never a syntax error."""

import apsw
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from appliance.retrieval.folding import padded
from appliance.retrieval.query import MAX_TERMS, contains, expression, parse


@pytest.fixture(scope="module")
def fulltext() -> apsw.Connection:
    connection = apsw.Connection(":memory:")
    connection.execute("CREATE VIRTUAL TABLE t USING fts5 (heading, text, tokenize = 'porter unicode61')").fetchall()
    connection.execute("INSERT INTO t VALUES ('Near', 'the pump and the valve NEAR it, 10-K of 2018')").fetchall()
    return connection


HOSTILE = ['"', "'", '" OR "', "NEAR(a b, 3)", "text : pump", "{heading", "a* ^b", "a AND NOT", "-", "()", "\\", "\x00", "a\x00b",
           "col:val", "+", "%", "\ud800", "x\udfffy", "🙂", "ﬁ", "İ", "ß", "ﷺ", "\u202e", "'" * 500, "(" * 500, "10-", "-K", "''s"]  # fmt: skip


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_text_is_never_a_syntax_error(fulltext: apsw.Connection, text: str) -> None:
    run(fulltext, text)


@settings(max_examples=150, deadline=None)
@given(text=st.text(st.characters(exclude_categories=[])))
def test_any_text_is_a_query_or_none(fulltext: apsw.Connection, text: str) -> None:
    run(fulltext, text)


def run(connection: apsw.Connection, text: str) -> None:
    question = parse(text)
    for query in (expression(question.terms), expression(question.terms, "heading text", question.other_names)):
        if query:
            connection.execute("SELECT rowid FROM t WHERE t MATCH ?", (query,)).fetchall()


@pytest.mark.parametrize("year", ["2018", "FY2018", "fy18", "FY18"])
@pytest.mark.parametrize("written", ["report 2018", "FY2018 report", "FY18", "FY 2018"])
def test_a_year_matches_a_fiscal_year_in_any_spelling(year: str, written: str) -> None:
    assert has(written, year)


@pytest.mark.parametrize("asked", ["Q3 2022", "third quarter of 2022", "2022 Q3", "3Q 2022"])
@pytest.mark.parametrize("written", ["2022 Q3", "Q3 2022", "third quarter 2022", "3Q FY22"])
def test_quarters_match_in_any_spelling(asked: str, written: str) -> None:
    words = parse(asked).terms
    assert all(contains(padded(written), word) for word in words if word.text not in ("quarter", "of"))


@pytest.mark.parametrize(
    ("asked", "written"),
    [
        ("10-K", "10K"), ("10K", "form 10-K"), ("A24", "alarm A-24"), ("Müller", "MULLER"), ("coca-cola", "COCACOLA"),
        ("PepsiCo", "Pepsi Co"), ("AT&T", "att"), ("pumps", "pump"), ("pump", "pumps"), ("Apple's", "apple"),
    ],
)  # fmt: skip
def test_other_spellings_match(asked: str, written: str) -> None:
    assert has(written, asked)


def test_neighbours_may_be_written_in_one_word() -> None:
    words = parse("What did American Express earn?").words
    assert [word.text for word in words if contains(padded("AMERICANEXPRESS 2022"), word)] == ["American", "Express"]


def has(written: str, asked: str) -> bool:
    (word,) = parse(asked).words
    return contains(padded(written), word)


def test_stop_words_are_left_out_unless_there_is_nothing_else() -> None:
    assert expression(parse("What is the torque of the bolt?").terms) == '"torque" OR "bolt"'
    assert expression(parse("who is it").terms) == '"who" OR "is" OR "it"'


@pytest.mark.parametrize("text", ["", "   ", "?!", "\n\t", "\u200b"])
def test_text_without_words_gives_no_query(text: str) -> None:
    assert expression(parse(text).terms) == ""


def test_a_very_long_question_is_cut() -> None:
    question = parse(" ".join(f"word{i}x" for i in range(3000)))
    assert expression(question.terms).count('"') <= 2 * 3 * MAX_TERMS


def test_capitals_and_digits_mark_a_name_except_at_the_start_of_a_sentence() -> None:
    telling = [word.text for word in parse("Where does Apple report it? Revenue of 2022, please").words if word.telling]
    assert telling == ["Apple", "2022"]


def test_german_nouns_and_all_capitals_are_not_names() -> None:
    german = parse("Wie hoch ist die Miete für die Wohnung in der Lindenstraße 2024?")
    assert [word.text for word in german.words if word.telling] == ["2024"]
    assert expression(german.terms[:2]) == '"hoch" OR "miete"'
    assert not any(word.telling for word in parse("WHAT IS THE OIL CHANGE INTERVAL").words)


def test_german_function_words_mean_something_in_english() -> None:
    assert [word.text for word in parse("Did anybody die in the war?").terms] == ["anybody", "die", "war"]


def test_things_are_also_found_by_their_other_names() -> None:
    assert "cost of sales" in parse("What were the COGS?").other_names
    assert "capex" in parse("purchases of property, plant and equipment").other_names
    assert parse("how long is the guarantee").other_names == []
