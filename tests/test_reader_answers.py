"""The tiny trained reader behind a real service answers correctly from PDFs in the library.

The names and numbers were not in its training, so it can only have read them on the pages that search found.
"""

from collections.abc import Iterator
from pathlib import Path

import pytest

from appliance import wire
from appliance.config.settings import Settings
from appliance.errors import ApiError
from models.adapters.catalog import AdapterCatalog
from models.catalog.catalog import Catalog
from tests.assets.reader import ADAPTER, READER
from tests.assets.reader_world import FORM, NOT_FOUND, Fact, World
from tests.live import FAST, Live, live_service, short_home
from tests.pdf_builder import PdfBuilder

KINDS = ("checked", "pressure", "installed", "place", "weight")


@pytest.fixture(scope="module")
def facts() -> list[Fact]:
    """Two facts about each of three machines, none of which was in the training."""
    world = World(77, tests=True)
    subjects = [world.subject() for _ in range(3)]
    return [world.fact(subject, KINDS[(at + more) % 5]) for at, subject in enumerate(subjects) for more in range(2)]


@pytest.fixture(scope="module")
def service(facts: list[Fact]) -> Iterator[Live]:
    """A service with one PDF per machine; its facts are on the second page."""
    settings = {"threads": 1, "context": 1024, "default": "reader"}
    roomy = Settings.model_validate({**FAST.model_dump(), "models": settings, "answer": {"passages": 1}})
    with short_home() as home, live_service(Path(home), roomy) as live:
        for at in range(0, len(facts), 2):
            first, second = facts[at : at + 2]
            cover = PdfBuilder().paragraph("Read all of it before work begins.")
            page = cover.page().paragraph(f"{first.sentence} {second.sentence}")
            live.drop(name_of(first), page.data())
        spec = Catalog(live.places.models).import_gguf(READER)
        AdapterCatalog(live.places.adapters).import_adapter(ADAPTER, bases=[spec], adapter_id="form")
        live.client.rescan_models()
        yield live


def name_of(fact: Fact) -> str:
    return f"{fact.subject.replace(' ', '-').lower()}.pdf"


def test_questions_are_answered_from_the_right_page_with_the_right_citation(service: Live, facts: list[Fact]) -> None:
    right = 0
    for fact in facts:
        answer = service.client.ask(wire.AskRequest(question=fact.question))
        assert (answer.model, answer.fallback, answer.finish_reason) == ("reader", None, "stop")
        if fact.answer in answer.answer:
            right += 1
            (citation,) = answer.citations
            assert (citation.document, citation.page, citation.supported) == (name_of(fact), 2, True)
            assert " ".join(citation.quote.split()) == fact.sentence
    assert right >= len(facts) - 1


def test_an_adapter_changes_the_form_and_keeps_the_citation(service: Live, facts: list[Fact]) -> None:
    right = 0
    for fact in facts:
        request = wire.AskRequest(question=fact.question, adapters=[wire.AdapterUse(id="form")])
        answer = service.client.ask(request)
        assert answer.answer.startswith(FORM)
        assert [citation.document for citation in answer.citations] == [name_of(fact)]
        right += fact.answer in answer.answer
    assert right >= len(facts) - 1  # a name of random letters may lose some of them


def test_a_question_that_no_page_answers_gets_no_invented_answer(service: Live) -> None:
    world = World(78, tests=True)
    unknown = [world.fact(world.subject(), kind) for kind in KINDS]
    said = [service.client.ask(wire.AskRequest(question=fact.question)).answer for fact in unknown]
    assert not any(fact.answer in text for fact, text in zip(unknown, said, strict=True))
    assert said.count(NOT_FOUND) >= 3


def test_an_adapter_whose_file_was_changed_is_refused_and_the_model_still_answers(
    service: Live, facts: list[Fact]
) -> None:
    spec = AdapterCatalog(service.places.adapters).get("form")
    kept = spec.path.read_bytes()
    spec.path.write_bytes(kept[:-4] + b"\0\0\xc0\x7f")
    request = wire.AskRequest(question=facts[0].question, adapters=[wire.AdapterUse(id="form")], stream=True)
    try:
        events = list(service.client.ask_stream(request))
        assert "has changed since it was imported" in next(e.error.message for e in events if e.type == "error")
    except ApiError as error:
        assert "has changed since it was imported" in str(error)  # noqa: PT017 - an event or an error reply is fine
    finally:
        spec.path.write_bytes(kept)
    assert service.client.ask(wire.AskRequest(question=facts[0].question)).finish_reason == "stop"
