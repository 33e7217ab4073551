"""The sample documents of `docent demo` match their sources, and the questions that go with them."""

import json
import re
import runpy
from pathlib import Path

import pymupdf
import pytest

ROOT = Path(__file__).parents[1]
SAMPLES = ROOT / "appliance" / "samples"
QUESTIONS = json.loads((SAMPLES / "questions.json").read_text())


def page_texts(path: Path) -> list[str]:
    with pymupdf.open(path) as document:
        return [re.sub(r"\s+", " ", page.get_text()).replace("ﬁ", "fi").replace("ﬂ", "fl") for page in document]


@pytest.mark.parametrize("question", QUESTIONS, ids=lambda q: q["question"])
def test_the_answer_is_on_the_page_that_the_question_names(question: dict[str, str | int]) -> None:
    texts = page_texts(SAMPLES / str(question["document"]))
    assert str(question["answer"]) in texts[int(question["page"]) - 1]


@pytest.mark.parametrize("source", sorted((ROOT / "docs" / "samples").glob("*.html")), ids=lambda p: p.stem)
def test_each_sample_has_the_text_of_its_source(source: Path, tmp_path: Path) -> None:
    made = runpy.run_path(str(ROOT / "docs" / "samples" / "make_samples.py"))["make"](source, tmp_path)
    assert page_texts(made) == page_texts(SAMPLES / made.name)


def test_every_sample_has_four_to_eight_pages_and_a_title() -> None:
    for path in SAMPLES.glob("*.pdf"):
        with pymupdf.open(path) as document:
            assert 4 <= document.page_count <= 8, path.name
            assert document.metadata["title"], path.name
