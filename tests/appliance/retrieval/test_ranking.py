"""Sources are ranked by the question's words; evidence adds up; a page comes once."""

from appliance.retrieval.fusion import Evidence, first_of_each, fuse
from appliance.retrieval.query import parse
from appliance.retrieval.sources import rank, resolve

NAMES = {
    1: ("NORTHWIND 2024 Q1 10Q", "Form 10-Q for the period ended March 31, 2024 Northwind Industries"),
    2: ("NORTHWIND 2024 Q2 10Q", "Form 10-Q for the period ended June 30, 2024 Northwind Industries"),
    3: ("CONTOSO 2024 Q2 10Q", "Form 10-Q for the period ended June 30, 2024 Contoso Industries"),
    4: ("plant report", "Report for the third quarter: Q3 Q3 Q3 third quarter, third quarter, June"),
}


def best(question: str) -> int:
    return next(iter(rank(parse(question), NAMES, {})))


def test_company_and_period_together_decide_the_source() -> None:
    assert best("What did Northwind spend in Q2 2024?") == 2
    assert best("what did northwind spend in the first quarter of FY24") == 1
    assert best("What did Contoso spend in the quarter ended June 30, 2024?") == 3


def test_a_source_gains_nothing_by_repeating_a_word_in_all_its_spellings() -> None:
    names = {**NAMES, 5: ("CONTOSO 2024 Q3 10Q", "")}
    assert next(iter(rank(parse("Contoso's Q3 2024 income"), names, {}))) == 5


def test_the_name_is_taken_out_of_the_question() -> None:
    question = parse("What did Northwind spend on servers in Q2 2024?")
    found = resolve(question, rank(question, NAMES, {}), NAMES)
    assert found.rest.text == "What did spend on servers in"
    assert found.confidence == 1.0
    assert found.score(2) > found.score(1) > found.score(4)


def test_a_question_without_a_source_keeps_its_words_and_has_low_confidence() -> None:
    question = parse("how often is the filter changed")
    found = resolve(question, rank(question, NAMES, {}), NAMES)
    assert found.rest == question
    assert found.confidence <= 0.2


def test_a_question_that_is_only_a_name_keeps_its_words() -> None:
    question = parse("Northwind 10-Q 2024")
    assert resolve(question, rank(question, NAMES, {}), NAMES).rest == question


def test_an_empty_library_has_no_sources() -> None:
    question = parse("Northwind")
    assert resolve(question, rank(question, {}, {}), {}).confidence == 0.0


def test_the_source_outweighs_a_somewhat_better_passage_elsewhere() -> None:
    ranked = fuse({1: Evidence(0.6, 0.6, 9.0, 0.4), 2: Evidence(0.5, 0.5, 6.0, 1.0)})
    assert [number for number, _ in ranked] == [2, 1]


def test_equal_scores_are_ordered_by_number() -> None:
    same = Evidence(0.5, 0.5, 0.0, 0.0)
    assert [number for number, _ in fuse({3: same, 1: same, 2: same})] == [1, 2, 3]


def test_no_candidates_give_an_empty_ranking() -> None:
    assert fuse({}) == []


def test_only_the_best_passage_of_each_page_is_kept() -> None:
    ranked = [("a", 1), ("b", 1), ("c", 2), ("d", 3)]
    assert first_of_each(ranked, 2) == ["a", "c"]
    assert first_of_each(ranked, 9) == ["a", "c", "d"]
