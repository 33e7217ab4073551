"""Pages without text are recognised one by one, and a failure costs its page alone."""

import sys
from pathlib import Path
from threading import Event

import pymupdf
import pytest

from ingest import pipeline
from ingest.errors import NoText, ParserKilled, Stopped
from ingest.ocr.recogniser import Ocr, OcrFailed, OcrSettings, ScanPicture, packages, probe
from ingest.ocr.tesseract import as_page
from ingest.parsing.extraction import open_extraction
from ingest.sandbox.limits import MIB, Limits
from ingest.sandbox.lockdown import capabilities
from ingest.types import Page
from tests.ingest.fakes import FakeEmbedder, FakeSink
from tests.pdf_builder import PdfBuilder, image_only_pdf
from tests.scan_builder import mixed_pdf, scanned_copy

HOSTILE = Path(__file__).with_name("hostile_ocr.py")
TEXTS = (
    "The safety valve opens at nine bar and closes again at eight.",
    "Grease the bearing of the main pump every 250 hours of running.",
    "The alarm A24 locks the controller until a technician resets it.",
)
AT_ONCE = Ocr(OcrSettings(niceness=0))
needs_tesseract = pytest.mark.skipif(bool(Ocr().missing()), reason="Tesseract is not installed")


def read(path: Path, ocr: Ocr | None, limits: Limits | None = None) -> list[Page]:
    with open_extraction(path, limits, ocr=ocr) as extraction:
        return list(extraction)


def hostile(way: str, **settings: float) -> Ocr:
    return Ocr(OcrSettings(**{"folders": (), **settings}), child=(sys.executable, "-I", str(HOSTILE), way))  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def mixed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return mixed_pdf(tmp_path_factory.mktemp("pdf") / "mixed.pdf", *TEXTS, scanned=(1, 3))


@needs_tesseract
def test_a_scanned_page_between_others_is_read_with_its_words_in_their_places(mixed: Path) -> None:
    pages = read(mixed, AT_ONCE)
    assert [page.source for page in pages] == ["ocr", "text", "ocr"]
    assert [" ".join(page.text.split()) for page in pages] == list(TEXTS)
    valve = next(
        word for line in pages[0].lines for word in line.words if pages[0].text[word.start : word.end] == "valve"
    )
    again = PdfBuilder(width=400, height=190).paragraph(TEXTS[0], size=11).data()
    expected = pymupdf.open(stream=again)[0].search_for("valve")[0]
    assert valve.box[0] == pytest.approx(expected.x0, abs=3)
    assert valve.box[3] == pytest.approx(expected.y1, abs=5)
    assert (pages[0].width, pages[0].height) == (400, 190)
    assert pages[0].lines[0].size == pytest.approx(11, abs=1.5)


@needs_tesseract
def test_the_same_scan_gives_the_same_pages_whatever_was_read_before(mixed: Path) -> None:
    first = read(mixed, AT_ONCE)
    alone = mixed_pdf(mixed.with_name("alone.pdf"), TEXTS[2], scanned=(1,))
    assert read(alone, AT_ONCE)[0].lines == first[2].lines


@needs_tesseract
def test_text_recognition_is_locked_in_as_far_as_the_kernel_can() -> None:
    version, locked = probe(Ocr())
    assert version
    assert locked == capabilities()


@needs_tesseract
def test_a_scan_becomes_passages_whose_words_are_the_pages_own(mixed: Path) -> None:
    sink = FakeSink()
    with open_extraction(mixed, ocr=AT_ONCE) as extraction:
        pipeline.run(extraction, embedder=FakeEmbedder(), sink=sink, stop=Event())
    pages = {page.number: page for page in sink.pages}
    words = [word for batch in sink.batches for one in batch.chunks for word in one.chunk.words]
    assert {word.page for word in words} == {1, 2, 3}
    assert all(pages[word.page].text[word.source_start : word.source_end].strip() for word in words)


@needs_tesseract
def test_a_stamp_over_a_scan_does_not_prevent_recognition(tmp_path: Path) -> None:
    data = scanned_copy(PdfBuilder(width=400, height=190).paragraph(TEXTS[0], size=11).data())
    document = pymupdf.open(stream=data)
    document[0].insert_text((200, 20), "Received", fontsize=9)
    (tmp_path / "a.pdf").write_bytes(document.tobytes())
    (page,) = read(tmp_path / "a.pdf", AT_ONCE)
    assert page.source == "ocr"
    assert TEXTS[0] in " ".join(page.text.split())


@needs_tesseract
@pytest.mark.parametrize("rotation", [90, 180, 270])
def test_a_scan_on_its_side_or_upside_down_is_cited_at_its_displayed_place(tmp_path: Path, rotation: int) -> None:
    upright = PdfBuilder(width=400, height=260).paragraph(" ".join(TEXTS), size=11).data()
    document = pymupdf.open(stream=upright)
    document[0].set_rotation(rotation)  # the scan shows it so, and has no rotation of its own
    (tmp_path / "a.pdf").write_bytes(scanned_copy(document.tobytes()))
    sink = FakeSink()
    with open_extraction(tmp_path / "a.pdf", ocr=AT_ONCE) as extraction:
        pipeline.run(extraction, embedder=FakeEmbedder(), sink=sink, stop=Event())
    (page,) = sink.pages
    assert " ".join(page.text.split()) == " ".join(TEXTS)
    assert (page.width, page.height, page.warning) == (*document[0].rect.br, "")
    words = [word for batch in sink.batches for one in batch.chunks for word in one.chunk.words]
    (bearing,) = [word.box for word in words if page.text[word.source_start : word.source_end] == "bearing"]
    expected = document[0].search_for("bearing")[0] * document[0].rotation_matrix
    assert bearing == pytest.approx(tuple(expected), abs=5)


@needs_tesseract
def test_a_page_recognised_with_little_confidence_says_so(tmp_path: Path) -> None:
    page = pymupdf.open(stream=PdfBuilder(width=400, height=190).paragraph(" ".join(TEXTS), size=11).data())[0]
    document = pymupdf.open()
    pixmap = page.get_pixmap(dpi=200, colorspace=pymupdf.csGRAY)
    rows = [pixmap.samples[at : at + pixmap.width][::-1] for at in range(0, len(pixmap.samples), pixmap.width)]
    mirrored = pymupdf.Pixmap(pymupdf.csGRAY, pixmap.width, pixmap.height, b"".join(rows), False)
    document.new_page(width=400, height=190).insert_image((0, 0, 400, 190), pixmap=mirrored)
    document.save(tmp_path / "a.pdf")
    (found,) = read(tmp_path / "a.pdf", AT_ONCE)
    assert found.source == "ocr"
    assert "little confidence" in found.warning


def test_a_page_with_text_a_blank_page_and_a_small_logo_are_not_recognised(tmp_path: Path) -> None:
    path = PdfBuilder().paragraph(TEXTS[0] * 5).image().page().save(tmp_path / "a.pdf")
    assert [page.source for page in read(path, None)] == ["text", "empty"]


def test_without_recognition_scanned_pages_are_skipped_and_say_why(mixed: Path) -> None:
    pages = read(mixed, None)
    assert [(page.source, page.warning) for page in pages] == [
        ("skipped", "text recognition is switched off"),
        ("text", ""),
        ("skipped", "text recognition is switched off"),
    ]


def test_a_scan_without_recognition_fails_with_the_packages_to_install(tmp_path: Path) -> None:
    ocr = Ocr(OcrSettings(("eng", "deu"), folders=(str(tmp_path),)))
    with (
        open_extraction(image_only_pdf(tmp_path / "scan.pdf", pages=2), ocr=ocr) as extraction,
        pytest.raises(NoText, match="no language data for eng, deu") as caught,
    ):
        pipeline.run(extraction, embedder=FakeEmbedder(), sink=FakeSink(), stop=Event())
    assert "apt-get install tesseract-ocr tesseract-ocr-deu" in caught.value.hint


@pytest.mark.parametrize(
    ("way", "why"),
    [
        ("dies", "crashed"),
        ("spinning", "longer"),
        ("nonsense", "invalid reply"),
        ("odd words", "invalid reply"),
        ("huge", "larger reply than allowed"),
        ("error", "memory"),
    ],
)
def test_whatever_recognition_does_only_its_page_is_lost(mixed: Path, tmp_path: Path, way: str, why: str) -> None:
    (tmp_path / "eng.traineddata").touch()
    pages = read(mixed, hostile(way, page_seconds=0.2, folders=(str(tmp_path),)))  # type: ignore[arg-type]
    assert [page.source for page in pages] == ["skipped", "text", "skipped"]
    assert why in pages[0].warning


@pytest.mark.parametrize(("way", "why"), [("killed", "killed"), ("silent", "no progress")])
def test_a_recogniser_killed_from_outside_costs_a_retry_but_no_page(
    mixed: Path, tmp_path: Path, way: str, why: str
) -> None:
    (tmp_path / "eng.traineddata").touch()
    with pytest.raises(ParserKilled, match=why):
        read(mixed, hostile(way, page_seconds=0.05, folders=(str(tmp_path),)))  # type: ignore[arg-type]


def test_a_single_kill_of_the_recogniser_costs_nothing(mixed: Path, tmp_path: Path) -> None:
    (tmp_path / "eng.traineddata").touch()
    pages = read(mixed, hostile("killed once", folders=(str(tmp_path),)))  # type: ignore[arg-type]
    assert [page.source for page in pages] == ["ocr", "text", "ocr"]


def test_no_page_is_tried_after_three_failures_in_a_row(tmp_path: Path) -> None:
    (tmp_path / "eng.traineddata").touch()
    ocr = hostile("dies", folders=(str(tmp_path),))  # type: ignore[arg-type]
    pages = read(image_only_pdf(tmp_path / "scan.pdf", pages=5), ocr)
    assert [page.warning.startswith("skipped because 3 pages in a row failed") for page in pages] == [
        False,
        False,
        False,
        True,
        True,
    ]


def test_stopping_ends_a_wait_for_words_at_once(tmp_path: Path) -> None:
    (tmp_path / "eng.traineddata").touch()
    recogniser = hostile("silent", folders=(str(tmp_path),)).recogniser(Limits(), Event())  # type: ignore[arg-type]
    recogniser.abort()
    with recogniser, pytest.raises(Stopped):
        recogniser.read(ScanPicture(1, 4, 4, 72, b"\0" * 16))


@needs_tesseract
def test_a_picture_that_takes_too_much_memory_is_skipped(tmp_path: Path) -> None:
    with Ocr(OcrSettings(memory_bytes=300 * MIB)).recogniser(Limits(), Event()) as recogniser:
        with pytest.raises(OcrFailed):
            recogniser.read(ScanPicture(1, 12_000, 12_000, 300, b"\x80\x00" * 72_000_000))
        assert recogniser.read(ScanPicture(2, 100, 100, 200, b"\xff" * 10_000))["type"] == "page"


def test_a_huge_page_is_rendered_coarsely_enough(tmp_path: Path) -> None:
    (tmp_path / "eng.traineddata").touch()
    path = tmp_path / "wall.pdf"
    document = pymupdf.open()
    page = document.new_page(width=14_000, height=14_000)
    pixmap = pymupdf.Pixmap(pymupdf.csGRAY, pymupdf.IRect(0, 0, 50, 50))
    pixmap.clear_with(99)
    page.insert_image(page.rect, pixmap=pixmap)
    document.save(path)
    pages = read(path, hostile("echo", folders=(str(tmp_path),)), Limits(picture_pixels=1_000_000))  # type: ignore[arg-type]
    assert pages[0].source == "ocr"


def test_hocr_becomes_lines_cut_at_wide_gaps_without_unlikely_words() -> None:
    markup = """<p class='ocr_par' id='p'><span class='ocr_line' id='l' title="bbox 10 10 400 40; x_size 28">
      <span class='ocrx_word' id='w' title='bbox 10 10 60 40; x_wconf 96'>R&amp;D</span>
      <span class='ocrx_word' id='w' title='bbox 70 10 120 40; x_wconf 90'><strong>costs</strong></span>
      <span class='ocrx_word' id='w' title='bbox 130 10 140 40; x_wconf 3'>~;</span>
      <span class='ocrx_word' id='w' title='bbox 300 10 400 40; x_wconf 95'>1,200</span></span></p>"""
    page = as_page(markup, 500, 100, 100, 7)
    assert page["text"] == "R&D costs\n1,200\n"
    assert (page["starts"].tolist(), page["ends"].tolist()) == ([0, 4, 10], [3, 9, 15])
    assert page["line_words"].tolist() == [2, 1]
    assert page["boxes"][:4].tolist() == pytest.approx([7.2, 7.2, 43.2, 28.8])


def test_the_packages_of_a_language_have_debians_names() -> None:
    assert packages(("eng", "chi_sim", "deu")) == "tesseract-ocr tesseract-ocr-chi-sim tesseract-ocr-deu"
