"""`GET /documents/{id}/pages/{number}` over the socket: the words of a citation are highlighted on its page."""

import hashlib
import shutil
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pymupdf
import pytest

from appliance import wire
from appliance.client import PageView
from appliance.errors import ApiError
from tests.conftest import SAMPLES
from tests.live import Live, live_service, short_home
from tests.pdf_builder import PdfBuilder


def marked_text(live: Live, document: wire.Document, view: PageView) -> str:
    """Return the words under the coloured rows of a page printed in grey."""
    picture = live.client.page(document.id, view)
    pixels = pymupdf.Pixmap(picture.png)
    samples, width = bytes(pixels.samples), pixels.width
    dots = [index for index in range(width * pixels.height) if samples[3 * index] > samples[3 * index + 2] + 60]
    scale = 72 / picture.dpi
    xs, ys = [dot % width for dot in dots], [dot // width for dot in dots]
    box = pymupdf.Rect(min(xs), min(ys), max(xs) + 1, max(ys) + 1) * scale
    with pymupdf.open(live.library / document.document) as file:
        page = file[view.page - 1]
        return " ".join(page.get_textbox(box * page.derotation_matrix).split())


@pytest.fixture(scope="module")
def live() -> Iterator[Live]:
    """One service for all tests of this file."""
    with short_home() as home, live_service(Path(home)) as service:
        yield service


@pytest.fixture(scope="module")
def manual(live: Live) -> wire.Document:
    """The manual, indexed."""
    return live.drop("manual.pdf", manual_pdf())


def manual_pdf() -> bytes:
    """Two pages printed without colour, and an empty one."""
    return (
        PdfBuilder()
        .heading("Care")
        .paragraph("Wash the housing with warm water and let it dry before it is closed again.")
        .page(rotation=90)
        .paragraph("Change the filter every 500 hours of operation. Use only part 4711 of the maker.")
        .page()
        .data()
    )


def test_a_citation_highlights_its_words_on_its_page(live: Live, manual: wire.Document) -> None:
    answer = live.client.ask(wire.AskRequest(question="How often must the filter be changed?"))
    citation = answer.citations[0]
    assert citation.page == 2
    view = PageView(citation.page, 72, citation.chunk_id, citation.quote)
    assert "filter every 500 hours" in marked_text(live, manual, view)
    assert "4711" in marked_text(live, manual, PageView(2, 72, citation.chunk_id))
    words = marked_text(live, manual, PageView(2, 72, quote="part 4711"))
    assert "part 4711" in words
    assert "filter" not in words


def test_only_a_single_document_has_its_reading_report(live: Live, manual: wire.Document) -> None:
    reading = live.client.document(manual.id).reading
    assert reading is not None
    assert reading.sources == wire.Sources(text=2, empty=1)
    assert (reading.complete, reading.tables, reading.warnings) == (True, 0, [])
    assert reading.sha256 == hashlib.sha256((live.library / "manual.pdf").read_bytes()).hexdigest()
    assert manual.reading is None


def test_a_page_without_highlights_is_drawn_too(live: Live, manual: wire.Document) -> None:
    picture = live.client.page(manual.id, PageView(2, dpi=72))
    assert (picture.width, picture.height, picture.dpi) == (842, 595, 72)


def refusal(live: Live, document: wire.Document, view: PageView) -> tuple[int, str, str]:
    with pytest.raises(ApiError) as caught:
        live.client.page(document.id, view)
    return caught.value.outcome.status, caught.value.outcome.code, str(caught.value)


def test_a_missing_page_passage_or_quote_is_reported(live: Live, manual: wire.Document) -> None:
    chunk = live.client.search("filter", k=1).results[0].chunk_id
    assert refusal(live, manual, PageView(4))[::2] == (404, "page 4 of manual.pdf: the document has 3 pages")
    assert refusal(live, manual, PageView(3, chunk_id=chunk))[2].endswith(f"the passage {chunk} is not on it")
    assert refusal(live, manual, PageView(1, chunk_id="c999"))[0] == 404
    assert refusal(live, manual, PageView(1, chunk_id="nonsense"))[0] == 404
    assert refusal(live, manual, PageView(1, quote="not on it"))[2].endswith("the quote is not on it")


def test_a_file_changed_since_it_was_indexed_is_refused() -> None:
    with short_home() as home, live_service(Path(home)) as live:
        document = live.drop("manual.pdf", manual_pdf())
        live.context.intake.workers.interrupt_all()  # so that the change is not read while it is looked at
        shutil.copy(SAMPLES / "cold-store-safety-policy.pdf", live.library / "manual.pdf")
        status, code, message = refusal(live, document, PageView(1))
    assert (status, code) == (409, "file_changed")
    assert "not the one that was indexed" in message


def test_a_page_that_the_document_does_not_have_is_refused_with_the_pages_that_it_has(
    live: Live, manual: wire.Document
) -> None:
    with pytest.raises(ApiError) as caught:
        live.client.page(manual.id, PageView(99))
    assert caught.value.hint == "use 1 to 3"


def test_a_document_that_could_not_be_read_has_no_pages_to_show(live: Live) -> None:
    document = live.drop("broken.pdf", b"%PDF-1.7 and no more")
    assert refusal(live, document, PageView(1))[:2] == (409, "conflict")


@pytest.mark.parametrize("query", ["dpi=1", "dpi=1000", "dpi=x", "quote=", "quote=" + "x" * 4001])
def test_invalid_parameters_are_400(live: Live, manual: wire.Document, query: str) -> None:
    with httpx2.Client(transport=httpx2.HTTPTransport(uds=str(live.places.socket)), base_url="http://docent") as client:
        reply = client.get(f"/documents/{manual.id}/pages/1?{query}")
        assert reply.status_code == 400
        assert client.get(f"/documents/{manual.id}/pages/0").status_code == 400
        assert client.get(f"/documents/{manual.id}/pages/first").status_code == 400
