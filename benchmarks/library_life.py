"""Changes a library at random from one seed: adds, replaces, renames, deletes, breaks and repairs files.

The sequence of changes depends on the seed alone, never on timing, so the final states of two runs can be compared.
File names begin with their kind. A deleted file does not come back.
"""

import os
import shutil
from pathlib import Path
from random import Random

from benchmarks.papers import Prose, paper
from benchmarks.serving import place
from tests.pdf_builder import PdfBuilder, encrypted_pdf, image_only_pdf

_FOLDERS = ("", "", "contracts", "logs/2024")
_SMALL, _LONG = (1, 4), (25, 45)
_MOST_FILES = 40


class Life:
    """Applies changes to one library, one at a time."""

    def __init__(self, library: Path, scratch: Path, seed: int) -> None:
        self._library = library
        self._scratch = scratch
        self._random = Random(seed)
        self._made = 0

    def begin(self) -> None:
        """Fills the library with files of every kind, two of them identical."""
        for kind in ("small", "small", "small", "long", "broken", "encrypted", "drawing", "empty", "text", "headed"):
            self._add(kind)
        shutil.copy(self._some_paper(), self._library / "twin.pdf")

    def something(self) -> str:
        """Makes one random change; returns its kind."""
        kinds = ["replace", "replace", "edit", "rename", "add", "add", "break", "touch", "delete"]
        kind = self._random.choice(kinds)
        if len(self._files()) > _MOST_FILES:
            kind = "delete"
        return self._do(kind)

    def work(self) -> str:
        """Makes a change that yields new chunks; returns its kind."""
        return self._do("add")

    def replacement(self) -> str:
        """Replaces the content of an existing paper; returns its path relative to the library."""
        target = self._some_paper()
        place(self._paper(*self._random.choice((_SMALL, (8, 16)))), target)
        return str(target.relative_to(self._library))

    def _do(self, kind: str) -> str:
        target = self._some_paper()
        if kind == "replace":
            self.replacement()
        elif kind == "edit":
            data = target.read_bytes()
            place(data + f"\n% edited {self._random.random()}\n".encode(), target)
        elif kind == "rename":
            moved = self._library / self._random.choice(_FOLDERS) / f"moved-{self._next()}-{target.name}"[:80]
            moved.parent.mkdir(parents=True, exist_ok=True)
            target.rename(moved)
        elif kind == "break":
            data = target.read_bytes()
            place(data[: int(len(data) * self._random.uniform(0.1, 0.9))], target)
        elif kind == "touch":
            os.utime(target)
        elif kind == "delete":
            target.unlink()
        else:
            self._add(self._random.choice(("small", "small", "small", "long", "headed", "broken")))
        return kind

    def _add(self, kind: str) -> None:
        target = self._library / self._random.choice(_FOLDERS) / f"{kind}-{self._next()}.pdf"
        place(self._content(kind), target)

    def _content(self, kind: str) -> bytes:
        scratch = self._scratch / "content.pdf"
        if kind == "broken":
            return self._paper(*_SMALL)[:700]
        if kind == "encrypted":
            return encrypted_pdf(scratch).read_bytes()
        if kind == "drawing":
            return image_only_pdf(scratch).read_bytes()
        if kind == "empty":
            return b""
        if kind == "text":
            return b"no PDF at all\n"
        if kind == "headed":
            return self._headed()
        return self._paper(*(_LONG if kind == "long" else _SMALL))

    def _paper(self, least: int, most: int) -> bytes:
        prose = Prose(self._random.randrange(1 << 30))
        pages = prose.pages(self._random.randint(least, most))
        return paper(self._scratch / "content.pdf", pages).read_bytes()

    def _headed(self) -> bytes:
        prose = Prose(self._random.randrange(1 << 30))
        builder = PdfBuilder(header="Harbour records", footer="Page {page} of {pages}", title=prose.sentence()[:40])
        for section in range(1, 4):
            builder.heading(f"{section} {prose.sentence()[:30]}").paragraph(prose.paragraph(150))
            builder.table([["Part", "Amount"], *([f"bolt {row}", f"{row * 7}.50"] for row in range(6))])
        return builder.data()

    def _files(self) -> list[Path]:
        return sorted(path for path in self._library.rglob("*.pdf") if path.is_file() and not path.name.startswith("."))

    def _some_paper(self) -> Path:
        """Picks a paper that had text when it was added; it may have been broken since."""
        papers = [
            path for path in self._files() if "small" in path.name or "long" in path.name or "headed" in path.name
        ]
        if not papers:
            self._add("small")
            return self._some_paper()
        return self._random.choice(papers)

    def _next(self) -> int:
        self._made += 1
        return self._made
