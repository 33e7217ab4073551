"""Checks that small edits and moves embed little or nothing again, and that a deletion leaves no text behind.

    python -m benchmarks.edits [--pages 200] [--moves 1000] [--seed 1] [--only PROOF…]

`edits`: indexes a document of `--pages` pages with headings, then changes one page and replaces the file, at several
places and in several ways. At most 5 % of its chunks may be embedded again. `moves`: renames `--moves` files, singly
and with their folder. No vector, chunk or revision may be made; only the names are embedded. `words`: plants words in
the text, heading, title and file name of documents, then deletes them, replaces them, or deletes them during reading,
and searches for the words in the bytes of every file of the state directory. Exit code 1 if any fault is found.
"""

import argparse
import hashlib
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import apsw
import psutil

from benchmarks.contents import made_in_all
from benchmarks.papers import Prose, paper
from benchmarks.serving import Service, cpu_seconds, place, serving
from tests.pdf_builder import PdfBuilder

PROOFS = ("edits", "moves", "words")
MOST_SHARE = 0.05
_SECTION = 7  # pages
_DONE_SECONDS = 3600.0
_CLEAN_SECONDS = 60.0


@dataclass(slots=True)
class Draft:
    """A document as the lines of its pages."""

    pages: list[list[str]] = field(default_factory=list)

    @classmethod
    def written(cls, count: int, seed: int) -> "Draft":
        prose, pages = Prose(seed), []
        for number in range(count):
            lines = prose.page()
            if number % _SECTION == 0:
                lines = [f"# {number // _SECTION + 1} {prose.sentence()[:40]}", "", *lines[:40]]
            pages.append(lines)
        return cls(pages)

    def with_page(self, index: int, lines: list[str]) -> "Draft":
        return Draft([*self.pages[:index], lines, *self.pages[index + 1 :]])


def variants(draft: Draft, seed: int) -> Iterator[tuple[str, Draft]]:
    """Yields each change by name, always applied to the original document."""
    prose, middle = Prose(seed + 1), len(draft.pages) // 2
    for where, index in (("middle", middle), ("page 1", 0), ("last page", len(draft.pages) - 1)):
        lines = draft.pages[index]
        yield (
            f"{where}: one word",
            draft.with_page(index, [*lines[:5], " ".join(["another", *lines[5].split()[1:]]), *lines[6:]]),
        )
        yield f"{where}: two lines more", draft.with_page(index, [*lines[:3], *prose.page()[:2], *lines[3:-2]])
        yield f"{where}: all of it", draft.with_page(index, prose.page())
    yield "middle: a page more", Draft([*draft.pages[:middle], prose.page(), *draft.pages[middle:]])
    yield "middle: a page less", Draft([*draft.pages[:middle], *draft.pages[middle + 1 :]])


def edits(service: Service, folder: Path, pages: int, seed: int) -> list[str]:
    """Prints the share of chunks embedded again after each change; returns the faults."""
    faults = []
    draft = Draft.written(pages, seed)
    first = _replace(service, folder, draft)
    print(f"{pages} pages, {len(_chunks(service))} chunks, {first:.1f} s of CPU")
    print(f"{'changed':28}{'chunks':>8}{'vectors made':>14}{'share':>8}{'CPU s':>8}")
    for name, changed in variants(draft, seed):
        before = set(_chunks(service))
        seconds = _replace(service, folder, changed)
        after = _chunks(service)
        made = len(set(after) - before)
        print(f"{name:28}{len(after):8}{made:14}{made / len(after):8.1%}{seconds:8.1f}", flush=True)
        if not made or made > MOST_SHARE * len(after):
            faults.append(f"{name}: {made} of {len(after)} chunks were embedded again")
        _replace(service, folder, draft)
    return faults


def moves(service: Service, folder: Path, count: int, seed: int) -> list[str]:
    """Renames files singly and with their folder; returns the faults."""
    prose = Prose(seed)
    old, new = service.library / "old", service.library / "new"
    for number in range(count):
        data = paper(folder / "moved.pdf", prose.pages(1, 60)).read_bytes()
        place(data, (old if number % 2 else service.library) / f"paper-{number}.pdf")
    service.wait_done(_DONE_SECONDS, count)
    before = _made(service)
    ids = {document.id for document in service.client.documents()}
    began = time.monotonic()
    for number in range(0, count, 2):
        (service.library / f"paper-{number}.pdf").rename(service.library / f"other-{number}.pdf")
    old.rename(new)
    faults = _until(lambda: _names_follow(service, count), "the names to follow", _DONE_SECONDS)
    print(
        f"{count} files moved, index updated after {time.monotonic() - began:.1f} s; "
        f"made: {_minus(_made(service), before)}"
    )
    if _made(service) != before:
        faults.append(f"the moves made rows: {before} before, {_made(service)} after")
    if {document.id for document in service.client.documents()} != ids:
        faults.append("the documents' ids have changed")
    return faults


def words(service: Service, folder: Path, seed: int) -> list[str]:
    """Plants words, deletes their documents, and searches for traces; returns the faults."""
    planted = _planted(service, folder, seed)
    service.wait_done(_DONE_SECONDS, len(planted) + 1)
    faults = [f"{word} was never in the store" for word in _all(planted) if not _traces(service, word)]
    service.client.search(_all(planted)[0])  # a query must leave no trace either
    for path, kept in planted.items():
        if kept[0] == "replaced":
            place(paper(folder / "other.pdf", Prose(seed + 9).pages(2)).read_bytes(), path)
        else:
            path.unlink()
    half = service.library / "half.pdf"
    draft = Draft.written(150, seed + 5)
    place(
        paper(
            folder / "half.pdf", draft.with_page(0, ["zwqhalfplinth in a paper", *draft.pages[0][1:]]).pages
        ).read_bytes(),
        half,
    )
    faults += _until(lambda: bool(_traces(service, "zwqhalfplinth")), "the long paper to be begun", _DONE_SECONDS)
    half.unlink()
    service.wait_done(_DONE_SECONDS)
    for word in [*_all(planted), "zwqhalfplinth"]:
        for part in (word, word[3:]):  # a full-text index stores only where a term differs from the one before it
            faults += _until(lambda part=part: not _traces(service, part), f"{part} to be gone", _CLEAN_SECONDS)
            faults += [f"{part} is still in {file}" for file in _traces(service, part)]
    print(f"searched {len(_files(service))} files of {service.home} for {len(_all(planted)) + 1} planted words")
    return faults


def _planted(service: Service, folder: Path, seed: int) -> dict[Path, tuple[str, ...]]:
    found = {}
    for fate in ("deleted", "replaced"):
        text, heading, title, name = (f"zwq{fate}{part}" for part in ("plinth", "gneiss", "vortex", "quorum"))
        builder = PdfBuilder(title=f"On {title}").heading(f"1 The {heading}")
        for _ in range(20):
            builder.paragraph(Prose(seed).paragraph(80))
        builder.paragraph(f"Here stands {text} once.")
        path = service.library / (f"{name}.pdf" if fate == "deleted" else "stays.pdf")
        place(builder.data(), path)
        found[path] = (fate, text, heading, title, *([name] if fate == "deleted" else []))
    place(paper(folder / "good.pdf", Prose(seed + 2).pages(3)).read_bytes(), service.library / "good.pdf")
    return found


def _all(planted: dict[Path, tuple[str, ...]]) -> list[str]:
    return [word for _, *group in planted.values() for word in group]


def _files(service: Service) -> list[Path]:
    library = service.library
    return [path for path in service.home.rglob("*") if path.is_file() and not path.is_relative_to(library)]


def _traces(service: Service, word: str) -> list[str]:
    """Names the files of the state directory that contain the word in UTF-8 or UTF-16, in any usual case."""
    forms = [form for text in (word, word.upper(), word.title()) for form in (text.encode(), text.encode("utf-16-le"))]
    found = []
    for path in _files(service):
        data = path.read_bytes() if path.exists() else b""
        if any(form in data for form in forms):
            found.append(path.name)
    return found


def _replace(service: Service, folder: Path, draft: Draft) -> float:
    """Puts this version into the library; returns the CPU seconds until it is indexed."""
    before = _cpu(service)
    place(paper(folder / "draft.pdf", draft.pages).read_bytes(), service.library / "draft.pdf")
    wanted = _content(folder / "draft.pdf")
    _until(lambda: _content_served(service) == wanted, "the new version to serve", _DONE_SECONDS)
    service.wait_done(_DONE_SECONDS, 1)
    return _cpu(service) - before


def _content(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _content_served(service: Service) -> str:
    found = _query(service, "SELECT r.sha256 FROM documents d JOIN revisions r ON r.id = d.serving")
    return str(found[0][0]) if found else ""


def _chunks(service: Service) -> list[bytes]:
    """The keys of the embedded texts."""
    return [bytes(key) for (key,) in _query(service, "SELECT text_hash FROM chunks")]


def _made(service: Service) -> dict[str, int]:
    counts = {table: made_in_all(service.database, table) for table in ("documents", "revisions", "chunks")}
    return counts | {"vectors": int(_query(service, "SELECT coalesce(max(id), 0) FROM vectors")[0][0])}


def _minus(one: dict[str, int], other: dict[str, int]) -> dict[str, int]:
    return {name: one[name] - other[name] for name in one}


def _names_follow(service: Service, count: int) -> bool:
    paths = [str(bytes(path), "utf-8") for (path,) in _query(service, "SELECT path FROM documents")]
    return len(paths) == count and all(path.startswith(("new/", "other-")) for path in paths)


def _query(service: Service, sql: str) -> list[tuple[object, ...]]:
    with _reading(service.database) as connection:
        return connection.execute(sql).fetchall()


@contextmanager
def _reading(database: Path) -> Iterator[apsw.Connection]:
    connection = apsw.Connection(str(database), flags=apsw.SQLITE_OPEN_READONLY)
    connection.set_busy_timeout(10_000)
    try:
        yield connection
    finally:
        connection.close()


def _cpu(service: Service) -> float:
    return cpu_seconds(psutil.Process(service.pid))


def _until(condition: Callable[[], bool], what: str, seconds: float) -> list[str]:
    """Waits for the condition; returns a fault if it times out."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return [f"waited {seconds:.0f} s for {what}"]
        time.sleep(0.2)
    return []


def main() -> None:
    parser = argparse.ArgumentParser(description="Cost of edits and moves, and traces left by deletions.")
    parser.add_argument("--pages", type=int, default=200)
    parser.add_argument("--moves", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", nargs="+", choices=PROOFS, default=PROOFS)
    options = parser.parse_args()
    faults: list[str] = []
    for proof in options.only:
        with tempfile.TemporaryDirectory(prefix="edits-", dir="/tmp") as name, serving(Path(name) / "home") as service:
            folder = Path(name)
            if proof == "edits":
                faults += edits(service, folder, options.pages, options.seed)
            elif proof == "moves":
                faults += moves(service, folder, options.moves, options.seed)
            else:
                faults += words(service, folder, options.seed)
    for fault in faults:
        print(f"FAULT {fault}")
    print(f"{len(faults)} faults")
    sys.exit(bool(faults))


if __name__ == "__main__":
    main()
