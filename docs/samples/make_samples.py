"""Write the sample PDFs of `docent demo` from the HTML files beside this script.

    .venv/bin/python docs/samples/make_samples.py [FOLDER]

FOLDER is `appliance/samples` unless given. The same sources and the same PyMuPDF give the same bytes: no dates, no
random identifiers. A source is plain HTML; its comments name the document's title and running header, and
`<!-- layout: two columns -->` or `<!-- layout: one column -->` begins a new page set in that way.
"""

import io
import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pymupdf

HERE = Path(__file__).parent
SAMPLES = HERE.parents[1] / "appliance" / "samples"
PAGE = pymupdf.Rect(0, 0, 595, 842)  # A4, in points
BODY = pymupdf.Rect(64, 80, 531, 766)
GUTTER = 22

CSS = """
body { font-family: serif; font-size: 11.5pt; line-height: 1.4; margin: 0; }
h1 { font-family: sans-serif; font-size: 24pt; margin: 0 0 2pt 0; }
h2 { font-family: sans-serif; font-size: 15pt; margin: 16pt 0 6pt 0; }
h2.page { page-break-before: always; }
h3 { font-family: sans-serif; font-size: 11.5pt; margin: 11pt 0 3pt 0; }
p { margin: 0 0 6pt 0; text-align: justify; }
p.subtitle { font-family: sans-serif; font-size: 11pt; color: #555555; margin-bottom: 14pt; text-align: left; }
li { margin: 0 0 3pt 0; }
table { border-collapse: collapse; margin: 6pt 0 10pt 0; width: 100%; }
td, th { font-family: sans-serif; font-size: 10pt; border: 0.5pt solid #888888; padding: 3pt 5pt; text-align: left; }
"""

Place = Callable[[int, pymupdf.Rect], tuple[pymupdf.Rect | None, pymupdf.Rect, None]]


def one_column(number: int, filled: pymupdf.Rect) -> tuple[pymupdf.Rect | None, pymupdf.Rect, None]:
    return PAGE, BODY, None


def two_columns(number: int, filled: pymupdf.Rect) -> tuple[pymupdf.Rect | None, pymupdf.Rect, None]:
    width = (BODY.width - GUTTER) / 2
    left = BODY.x0 if number % 2 == 0 else BODY.x1 - width
    return (PAGE if number % 2 == 0 else None), pymupdf.Rect(left, BODY.y0, left + width, BODY.y1), None


LAYOUTS: dict[str, Place] = {"one column": one_column, "two columns": two_columns}


def named(source: str, name: str) -> str:
    """The text of the comment `<!-- name: text -->`."""
    found = re.search(rf"<!-- {name}: (.*?) -->", source)
    if not found:
        raise SystemExit(f"no comment '<!-- {name}: … -->' in a sample")
    return found[1]


def sections(source: str) -> Iterator[tuple[str, Place]]:
    parts = re.split(r"<!-- layout: (.*?) -->", source)
    yield parts[0], one_column
    for layout, html in zip(parts[1::2], parts[2::2], strict=True):
        yield html, LAYOUTS[layout]


def typeset(html: str, place: Place) -> pymupdf.Document:
    memory = io.BytesIO()
    writer = pymupdf.DocumentWriter(memory)
    pymupdf.Story(html, user_css=CSS).write(writer, place)
    writer.close()
    return pymupdf.open("pdf", memory.getvalue())


def furnish(document: pymupdf.Document, header: str) -> None:
    """Draw the running header and the page number, as a printed document has them."""
    for page in document:
        page.insert_text((BODY.x0, 50), header, fontname="helv", fontsize=8.5, color=(0.35, 0.35, 0.35))
        page.draw_line((BODY.x0, 56), (BODY.x1, 56), color=(0.6, 0.6, 0.6), width=0.5)
        number = f"Page {page.number + 1} of {document.page_count}"
        width = pymupdf.get_text_length(number, "helv", 8.5)
        page.insert_text((BODY.x1 - width, 802), number, fontname="helv", fontsize=8.5, color=(0.35, 0.35, 0.35))


def make(source: Path, folder: Path) -> Path:
    text = source.read_text(encoding="utf-8")
    document = pymupdf.open()
    for html, place in sections(text):
        document.insert_pdf(typeset(html, place))
    furnish(document, named(text, "header"))
    document.set_metadata({"title": named(text, "title"), "author": "Docent sample documents"})
    target = folder / f"{source.stem}.pdf"
    document.subset_fonts()
    document.save(target, garbage=4, deflate=True, no_new_id=True, reproducible=True)
    return target


def main() -> None:
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else SAMPLES
    folder.mkdir(parents=True, exist_ok=True)
    for source in sorted(HERE.glob("*.html")):
        print(make(source, folder))


if __name__ == "__main__":
    main()
