"""Whatever a file or the process that reads it does, the caller gets pages or one of ingest's errors."""

import os
import signal
import sys
from pathlib import Path
from threading import Event, Timer
from typing import Any

import pymupdf
import pytest

from ingest.errors import (
    BrokenPdf,
    EmptyFile,
    EncryptedPdf,
    FileChanged,
    IngestError,
    ParserCrashed,
    ParserKilled,
    ParserLimit,
    Stopped,
    Unreadable,
    UnsupportedType,
)
from ingest.parsing.extraction import open_extraction
from ingest.parsing.opened_file import open_file
from ingest.sandbox.limits import MIB, Limits
from ingest.sandbox.lockdown import capabilities
from ingest.types import Page
from tests.ingest.parsing.executed import executed
from tests.pdf_builder import PdfBuilder, encrypted_pdf, image_only_pdf, simple_pdf, truncated_pdf

HOSTILE = Path(__file__).with_name("hostile_child.py")


def read(path: Path | bytes, limits: Limits | None = None) -> list[Page]:
    with open_extraction(path, limits) as extraction:
        return list(extraction)


def read_by(way: str, path: Path, limits: Limits | None = None) -> list[Page]:
    child = (sys.executable, "-I", str(HOSTILE), way)
    with open_extraction(path, limits, start=executed(*child)) as extraction:
        return list(extraction)


@pytest.fixture(scope="module")
def pdf(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return simple_pdf(tmp_path_factory.mktemp("pdf") / "a.pdf", "First page.", "Second page.")


def test_pages_come_with_their_own_text_words_and_boxes(tmp_path: Path) -> None:
    path = (
        PdfBuilder(title="Manual")
        .heading("Safety", size=20)
        .paragraph("Mind the gap.", size=10)
        .save(tmp_path / "a.pdf")
    )
    with open_extraction(path) as extraction:
        assert extraction.info.pages == 1
        assert extraction.info.title == "Manual"
        (page,) = extraction
    words = [page.text[word.start : word.end] for line in page.lines for word in line.words]
    assert words == ["Safety", "Mind", "the", "gap."]
    assert page.text == "Safety\nMind the gap.\n"
    heading, body = page.lines
    assert (heading.size, heading.bold, body.size, body.bold) == (20.0, True, 10.0, False)
    assert heading.box[0] == pytest.approx(72, abs=2)
    assert heading.box[1] < body.box[1] < 200
    assert (page.width, page.height) == (595, 842)


def test_boxes_are_those_of_the_displayed_page_when_it_is_rotated(tmp_path: Path) -> None:
    path = PdfBuilder().page(rotation=90).at(100, 200, "sideways").save(tmp_path / "a.pdf")
    page = read(path)[1]
    (line,) = page.lines
    assert (page.width, page.height) == (842, 595)
    assert line.box[2] == pytest.approx(842 - 200, abs=15)
    assert line.box[1] == pytest.approx(100, abs=5)


def test_a_page_without_text_is_an_empty_page(tmp_path: Path) -> None:
    assert [page.text for page in read(image_only_pdf(tmp_path / "a.pdf", pages=2))] == ["", ""]


def test_page_labels_are_carried(tmp_path: Path) -> None:
    builder = PdfBuilder().paragraph("Preface.")
    builder._document.set_page_labels([{"startpage": 0, "prefix": "A-", "style": "r", "firstpagenum": 4}])
    assert read(builder.save(tmp_path / "a.pdf"))[0].label == "A-iv"


@pytest.mark.parametrize(
    ("content", "error"),
    [
        (b"", EmptyFile),
        (b"\x7fELF a program", UnsupportedType),
        (b"PK\x03\x04 a zip", UnsupportedType),
        (b"%PDF-1.7\nand nothing else", BrokenPdf),
        (
            b"%PDF-1.4\n1 0 obj<</Type/Catalog/Pages 2 0 R>>endobj\n2 0 obj<</Type/Pages/Kids[]/Count -5>>endobj\n"
            b"trailer<</Root 1 0 R>>\n%%EOF",
            BrokenPdf,
        ),
        (b"%PDF-1.4\n" + b"1 0 obj << /Type /Catalog /Pages 1 0 R >> endobj\n" * 3, BrokenPdf),
    ],
)
def test_a_file_that_is_no_pdf_is_refused_with_the_reason(
    tmp_path: Path, content: bytes, error: type[IngestError]
) -> None:
    path = tmp_path / "x.pdf"
    path.write_bytes(content)
    with pytest.raises(error) as caught:
        read(path)
    assert "x.pdf" in caught.value.what
    assert caught.value.why
    assert "code=" not in caught.value.why  # MuPDF's own error code
    assert caught.value.hint


def test_a_truncated_file_is_broken_or_gives_what_is_left(tmp_path: Path) -> None:
    with pytest.raises(BrokenPdf):
        read(truncated_pdf(tmp_path / "a.pdf"))


def test_the_hint_for_an_encrypted_file_is_how_to_remove_the_password(tmp_path: Path) -> None:
    with pytest.raises(EncryptedPdf) as caught:
        read(encrypted_pdf(tmp_path / "a.pdf"))
    assert "qpdf --password=SECRET --decrypt" in caught.value.hint


def test_links_folders_and_fifos_are_refused_without_waiting(tmp_path: Path, pdf: Path) -> None:
    (tmp_path / "link.pdf").symlink_to(pdf)
    (tmp_path / "folder.pdf").mkdir()
    os.mkfifo(tmp_path / "fifo.pdf")
    with pytest.raises(Unreadable, match="link"):
        read(tmp_path / "link.pdf")
    for name in ("folder.pdf", "fifo.pdf"):
        with pytest.raises(UnsupportedType, match=r"not a regular file|a folder"):
            read(tmp_path / name)
    with pytest.raises(Unreadable, match="no such file"):
        read(tmp_path / "gone.pdf")


def test_names_of_any_bytes_can_be_read_and_are_shown_escaped(tmp_path: Path) -> None:
    odd = os.fsencode(simple_pdf(tmp_path / "a.pdf", "Hello."))[:-5] + b'\xff\n"\x1b[2J.pdf'
    os.rename(tmp_path / "a.pdf", odd)  # bytes
    with open_extraction(odd) as extraction:
        assert '\\xff\\n"\\x1b[2J.pdf' in extraction.what
        assert len(list(extraction)) == 1


def test_the_child_is_locked_in_as_far_as_the_kernel_can(pdf: Path) -> None:
    with open_extraction(pdf) as extraction:
        assert extraction.sandbox == capabilities()


def test_the_hash_is_that_of_the_file_that_is_read(pdf: Path) -> None:
    with open_file(pdf) as file, open_extraction(file) as extraction:
        assert file.sha256() == extraction.sha256()
        assert len(list(extraction)) == 2
    assert file.descriptor == -1


def test_a_file_written_to_while_it_is_read_is_not_trusted(tmp_path: Path) -> None:
    path = simple_pdf(tmp_path / "a.pdf", "One.", "Two.")
    with open_extraction(path) as extraction:
        with path.open("ab") as file:
            file.write(b"more")
        with pytest.raises(FileChanged):
            list(extraction)


def test_a_file_renamed_or_chmodded_while_it_is_read_is_still_the_same(tmp_path: Path) -> None:
    path = simple_pdf(tmp_path / "a.pdf", "One.", "Two.")
    with open_extraction(path) as extraction:
        path.rename(tmp_path / "b.pdf").chmod(0o600)
        assert len(list(extraction)) == 2


@pytest.mark.parametrize(
    ("way", "error", "why"),
    [
        ("huge", ParserCrashed, "over the limit"),
        ("half", ParserCrashed, "crashed"),
        ("text", ParserCrashed, "not JSON: UnicodeDecodeError"),
        ("deep", ParserCrashed, "not JSON: RecursionError"),
        ("error", BrokenPdf, r"evil \[2J why"),
        ("killed", ParserCrashed, "SIGSEGV"),
        ("out of memory", ParserKilled, "memory"),
        ("wrong page", ParserCrashed, "number"),
        ("ends early", ParserCrashed, "kind page"),
        ("complaining", ParserCrashed, "status 3"),
    ],
)
def test_a_hostile_child_gets_nowhere(pdf: Path, way: str, error: type[IngestError], why: str) -> None:
    with pytest.raises(error, match=why):
        read_by(way, pdf)


def test_a_child_that_cannot_be_started_is_worth_a_retry(pdf: Path) -> None:
    with pytest.raises(Unreadable, match="cannot be started"):
        open_extraction(pdf, start=executed("/no/such/python"))


@pytest.mark.parametrize("way", ["silent", "dripping"])
def test_a_child_that_does_nothing_is_killed_and_the_document_is_worth_a_retry(pdf: Path, way: str) -> None:
    with pytest.raises(ParserKilled, match="no progress"):
        read_by(way, pdf, Limits(page_seconds=0.4))


def test_a_child_that_computes_for_longer_than_allowed_is_killed(pdf: Path) -> None:
    with pytest.raises(ParserLimit, match="longer"):
        read_by("busy", pdf, Limits(page_seconds=0.3))


def test_only_the_wait_for_the_parser_counts_against_the_deadline_by_the_clock(
    pdf: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [0.0]
    monkeypatch.setattr("time.monotonic", lambda: now[0])
    with open_extraction(pdf, Limits(page_seconds=2.0, document_seconds=4.0, patience=1)) as extraction:
        pages = iter(extraction)
        assert next(pages).number == 1
        now[0] += 3600.0  # as if the embedder had taken an hour
        assert [page.number for page in pages] == [2]
    child = (sys.executable, "-I", str(HOSTILE), "idle after info")
    with open_extraction(pdf, Limits(page_seconds=2.0, patience=1), start=executed(*child)) as extraction:
        late = Timer(0.3, lambda: now.__setitem__(0, now[0] + 3.0))
        late.start()
        with pytest.raises(ParserKilled, match="no progress"):
            list(extraction)
        late.join()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
def test_a_child_killed_from_outside_is_worth_a_retry(pdf: Path, number: signal.Signals) -> None:
    child = (sys.executable, "-I", str(HOSTILE), "idle after info")
    with open_extraction(pdf, start=executed(*child)) as extraction:
        os.kill(extraction._process.pid, number)
        with pytest.raises(ParserKilled):
            list(extraction)


def test_stopping_ends_a_wait_at_once(pdf: Path) -> None:
    stop = Event()
    timer = Timer(0.2, stop.set)
    timer.start()
    child = (sys.executable, "-I", str(HOSTILE), "silent")
    with pytest.raises(Stopped):
        open_extraction(pdf, stop=stop, start=executed(*child))
    timer.join()


def test_aborting_from_another_thread_ends_the_reading(pdf: Path) -> None:
    child = (sys.executable, "-I", str(HOSTILE), "idle after info")
    with open_extraction(pdf, start=executed(*child)) as extraction:
        timer = Timer(0.1, extraction.abort)
        timer.start()
        with pytest.raises(IngestError):
            list(extraction)
        timer.join()


@pytest.mark.parametrize(
    "limits",
    [
        Limits(page_characters=10),
        Limits(page_words=1),
        Limits(pages=1),
        Limits(file_bytes=10),
    ],
)
def test_a_document_beyond_the_limits_is_refused(pdf: Path, limits: Limits) -> None:
    with pytest.raises(ParserLimit):
        read(pdf, limits)


def test_a_page_too_large_for_a_message_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ParserLimit, match="more text"):
        read(simple_pdf(tmp_path / "a.pdf", "Word after word. " * 40), Limits(message_bytes=1000))


def test_a_page_that_unpacks_to_more_memory_than_allowed_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "bomb.pdf"
    document: Any = pymupdf.open()
    page = document.new_page()
    page.insert_text((72, 72), "x")
    bomb = b"BT /helv 8 Tf " + b"1 0 0 1 72 72 Tm (%b) Tj " % (b"ab " * 30) * 30_000 + b"ET"
    document.update_stream(page.get_contents()[0], bomb, compress=True)
    document.save(path)
    assert path.stat().st_size < 100_000
    with pytest.raises(ParserLimit, match="memory"):
        read(path, Limits(memory_bytes=256 * MIB))


def test_no_child_and_no_descriptor_is_left_behind(pdf: Path) -> None:
    before = len(os.listdir("/proc/self/fd"))
    with open_extraction(pdf) as extraction:
        process = extraction._process
        next(iter(extraction))
    assert process.returncode is not None
    with pytest.raises(UnsupportedType):
        read(Path(sys.executable).resolve())
    assert len(os.listdir("/proc/self/fd")) == before


def test_a_parser_of_many_pages_takes_little_more_memory_than_one_of_few(tmp_path: Path) -> None:
    few, many = (private_mib(blank_pages(tmp_path / f"{count}.pdf", count)) for count in (8_000, 40_000))
    assert many - few < 8  # MiB; the list of so many more pages takes 29


def blank_pages(path: Path, count: int) -> Path:
    kids = " ".join(f"{3 + number} 0 R" for number in range(count))
    objects = [
        "<</Type/Catalog/Pages 2 0 R>>",
        f"<</Type/Pages/Count {count}/Kids[{kids}]/MediaBox[0 0 200 200]>>",
        *["<</Type/Page/Parent 2 0 R>>"] * count,
    ]
    data, places = b"%PDF-1.7\n", []
    parts = [data]
    position = len(data)
    for number, content in enumerate(objects, 1):
        parts.append(f"{number} 0 obj{content}endobj\n".encode())
        places.append(position)
        position += len(parts[-1])
    table = "".join(f"{place:010} 00000 n \n" for place in places)
    parts.append(f"xref\n0 {len(objects) + 1}\n0000000000 65535 f \n{table}".encode())
    parts.append(f"trailer<</Size {len(objects) + 1}/Root 1 0 R>>\nstartxref\n{position}\n%%EOF\n".encode())
    path.write_bytes(b"".join(parts))
    return path


def private_mib(path: Path) -> float:
    """The parser's private memory while it waits for a reader: the file has more pages than its pipe holds."""
    with open_extraction(path) as extraction:
        pages = iter(extraction)
        for _ in range(100):
            next(pages)
        fields = Path(f"/proc/{extraction._process.pid}/smaps_rollup").read_text().splitlines()[1:]
        sizes = {name: int(rest.split()[0]) for name, rest in (line.split(":", 1) for line in fields)}
        return (sizes["Private_Dirty"] + sizes["Private_Clean"]) / 1024
