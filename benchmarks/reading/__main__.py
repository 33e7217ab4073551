"""Checks that documents are read as a person sees them: rows, headings, paragraphs and running lines.

    python -m benchmarks.reading FOLDER [--expectations FILE] [-v]

The documents are in or below FOLDER, under the names that the expectations use. The service's own code reads them and
cuts them into passages, without its database. README.md beside this file explains each kind of expectation. Exit code 1
if an expectation fails or a document is missing.
"""

import argparse
import json
import re
import sys
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from threading import Event
from typing import Any

from ingest.chunking.chunker import ChunkLimits, chunk_pages
from ingest.layout.rows import rows_of
from ingest.parsing.extraction import open_extraction
from ingest.parsing.opened_file import open_file
from ingest.sandbox.limits import Limits
from ingest.tables.table_bodies import is_body
from ingest.types import Chunk, Page
from models.embedding.embedder import BUILTIN, Embedder

_BETWEEN_CELLS = r"[\s|$€£¥;:%\t]*"
_DASHES = str.maketrans({"–": "-", "—": "-", "‐": "-", "’": "'", "‘": "'", "“": '"', "”": '"', "\u00a0": " "})


def main() -> int:
    options = _options()
    lines = options.expectations.read_text(encoding="utf-8").splitlines()
    expectations = [json.loads(line) for line in lines if line.strip()]
    pages: Counter[str] = Counter()
    with Embedder.open(BUILTIN) as embedder:
        names = {expectation["document"] for expectation in expectations}
        documents = {name: chunks_of(located(options.folder, name), embedder, pages) for name in names}
    held: Counter[str] = Counter()
    for expectation in expectations:
        if holds(expectation, documents[expectation["document"]]):
            held[expectation["kind"]] += 1
        elif options.verbose:
            print("missed:", json.dumps(expectation, ensure_ascii=False))
    expected = Counter(expectation["kind"] for expectation in expectations)
    for kind, count in expected.items():
        print(f"{kind:<10} {held[kind]:>3} of {count}")
    print(f"{'all':<10} {held.total():>3} of {expected.total()}")
    print(f"{pages['table']} of {pages['all']} pages hold a table ({pages['table'] / pages['all']:.0%})")
    return 0 if held.total() == expected.total() else 1


def located(folder: Path, name: str) -> Path:
    """Finds the file of that name in or below the folder; exits if there is none."""
    found = next(iter(sorted(folder.rglob(name))), None)
    if found is None:
        sys.exit(f"{folder} holds no {name}")
    return found


def chunks_of(path: Path, embedder: Embedder, pages: Counter[str] | None = None) -> list[Chunk]:
    """Cuts one document into passages; adds its pages, and those with a table, to the counts in `pages`."""
    limits = ChunkLimits(max_tokens=embedder.max_tokens)

    def counted(extraction: Iterable[Page]) -> Iterator[Page]:
        for page in extraction:
            if pages is not None:
                pages["all"] += 1
                pages["table"] += any(is_body(row) for row in rows_of(page))
            yield page

    with open_file(path) as file, open_extraction(file, Limits(), stop=Event()) as extraction:
        read = chunk_pages(counted(extraction), embedder.token_offsets, limits, bookmarks=extraction.info.outline)
        return list(read)


def holds(expectation: dict[str, Any], chunks: list[Chunk]) -> bool:
    """Whether the passages meet the expectation."""
    page = expectation["page"]
    last = expectation.get("page_last", page)
    near = [chunk for chunk in chunks if chunk.page <= last and chunk.page_last >= page]
    match expectation["kind"]:
        case "absent":
            return not any(_plain(expectation["text"]) in _on_page(chunk, page) for chunk in near)
        case "unbroken":
            return any(_plain(expectation["text"]) in _plain(chunk.text) for chunk in near)
        case "together":
            texts = [_plain(text) for text in expectation["texts"]]
            return any(_in_text_order(texts, _plain(chunk.text)) for chunk in near)
        case "heading":
            return any(
                _in_order(expectation["path"], chunk.heading)
                for chunk in near
                if _plain(expectation["text"]) in _plain(chunk.text)
            )
        case "row":
            return any(_has_row(expectation, chunk) for chunk in near)
    raise ValueError(f"unknown kind {expectation['kind']!r}")


def _in_text_order(texts: list[str], whole: str) -> bool:
    position = 0
    for text in texts:
        position = whole.find(text, position)
        if position < 0:
            return False
    return True


def _has_row(expectation: dict[str, Any], chunk: Chunk) -> bool:
    text = _plain(chunk.text)
    cells = _BETWEEN_CELLS.join(re.escape(_plain(cell)) for cell in expectation["cells"])
    found = re.search(cells, text)
    above = _plain(" ".join(chunk.heading)) + " " + text[: found.start() if found else 0]
    return found is not None and all(_plain(title) in above for title in expectation["header"])


def _in_order(wanted: list[str], path: tuple[str, ...]) -> bool:
    names = iter(map(_plain, path))
    return all(any(_plain(text) in name for name in names) for text in wanted)


def _on_page(chunk: Chunk, page: int) -> str:
    return _plain(" ".join(chunk.text[word.start : word.end] for word in chunk.words if word.page == page))


def _plain(text: str) -> str:
    return " ".join(text.translate(_DASHES).split())


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--expectations", type=Path, default=Path(__file__).parent / "expectations.jsonl")
    parser.add_argument("-v", "--verbose", action="store_true", help="print the expectations that fail")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
