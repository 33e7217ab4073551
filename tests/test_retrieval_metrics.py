"""The retrieval metrics count pages as a reader would."""

from benchmarks.retrieval_metrics import Expected, Result, evidence, rank, score

A = Expected("a.pdf", frozenset({3, 9}))


def test_a_result_is_right_when_it_names_a_page_of_the_right_document() -> None:
    assert rank([Result("b.pdf", 3, 3), Result("a.pdf", 4, 4), Result("a.pdf", 2, 3)], A) == 3
    assert rank([Result("b.pdf", 3, 3)], A) == 0


def test_evidence_is_the_share_of_the_answering_pages() -> None:
    found = [Result("a.pdf", 3, 3), Result("b.pdf", 9, 9), Result("a.pdf", 3, 4), Result("a.pdf", 9, 9)]
    assert evidence(found, A, 3) == 0.5
    assert evidence(found, A, 4) == 1.0


def test_without_pages_the_document_is_enough() -> None:
    assert evidence([Result("a.pdf", 1, 1)], Expected("a.pdf", frozenset()), 5) == 1.0


def test_scores_are_means() -> None:
    scores = score([(A, [Result("a.pdf", 3, 3)]), (A, [Result("a.pdf", 1, 1), Result("a.pdf", 9, 9)])])
    assert (scores.questions, scores.hit_at_1, scores.hit_at_5, scores.document_at_5) == (2, 0.5, 1.0, 1.0)
    assert (scores.evidence_at_5, scores.reciprocal_rank) == (0.5, 0.75)


def test_no_questions_score_nothing() -> None:
    assert score([]).hit_at_5 == 0.0
