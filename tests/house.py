"""Reads a source tree as a house: folders are rooms, imports go down the stairs. Used by tests/test_imports.py.

`Floors` maps a folder to its names (files without `.py`, and folders) from the lowest floor up. Each function returns the
offences as sentences, so that an empty list is the proof.
"""

import ast
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

Floors = dict[str, tuple[set[str], ...]]


@dataclass(frozen=True)
class House:
    """The packages below `root`; `apart` are files that are no part of the program."""

    root: Path
    packages: tuple[str, ...]
    apart: Collection[str] = field(default=())

    @cached_property
    def files(self) -> dict[str, ast.Module]:
        """Path from the root -> its syntax tree."""
        paths = [path for package in self.packages for path in sorted((self.root / package).rglob("*.py"))]
        trees = {path.relative_to(self.root).as_posix(): ast.parse(path.read_text(encoding="utf-8")) for path in paths}
        return {path: tree for path, tree in trees.items() if path not in self.apart}

    @cached_property
    def folders(self) -> list[str]:
        """Every folder that holds code."""
        return sorted({path.rpartition("/")[0] for path in self.files})

    def rooms(self, folder: str) -> set[str]:
        """The names in a folder that hold code: files without `.py`, and packages."""
        below = [path.removeprefix(f"{folder}/") for path in self.files if path.startswith(f"{folder}/")]
        return {path.split("/")[0].removesuffix(".py") for path in below} - {"__init__"}

    def ours(self, path: str) -> list[str]:
        """What a file imports of the house's packages."""
        return [name for name in imported(self.files[path]) if name.split(".")[0] in self.packages]

    def misplaced(self, folder: str, floors: Floors) -> list[str]:
        """Names of a folder that stand on no floor, on two, or are gone."""
        named = [name for names in floors[folder] for name in names]
        rooms = self.rooms(folder)
        return (
            [f"{folder}/{name} stands on no floor" for name in sorted(rooms - set(named))]
            + [f"{folder}/{name} does not exist" for name in sorted(set(named) - rooms)]
            + [f"{folder}/{name} stands on two floors" for name in sorted(rooms) if named.count(name) > 1]
        )

    def upward(self, folder: str, floors: Floors) -> list[str]:
        """Imports between two rooms of a folder that do not go to a lower floor."""
        floor = {name: number for number, names in enumerate(floors[folder]) for name in names}
        prefix = folder.replace("/", ".") + "."
        wrong = []
        for path in (path for path in self.files if path.startswith(f"{folder}/")):
            here = path.removeprefix(f"{folder}/").split("/")[0].removesuffix(".py")
            for name in self.ours(path):
                there = name.removeprefix(prefix).split(".")[0] if name.startswith(prefix) else here
                if here in floor and there in floor and here != there and floor[there] >= floor[here]:
                    wrong.append(f"{path} imports {name}, which is not on a lower floor")
        return wrong

    def crowded(self, folder: str, most: int) -> list[str]:
        """A folder that shows more names than one can take in."""
        shown = [path.name for path in (self.root / folder).iterdir() if path.name != "__pycache__"]
        return [f"{folder} shows {len(shown)} names"] if len(shown) > most else []

    def reexported(self) -> list[str]:
        """Packages whose `__init__` hands on names of another room."""
        inits = [path for path in self.files if path.endswith("/__init__.py")]
        return [
            f"{path} imports {name}"
            for path in inits
            for name in self.ours(path)
            if not name.startswith(path.removesuffix("__init__.py").replace("/", "."))
        ]


def imported(tree: ast.Module) -> Iterator[str]:
    """Every module or name that a file imports anywhere in it, except for type checking only."""
    skipped = {id(child) for node in ast.walk(tree) if _is_typing_block(node) for child in ast.walk(node)}
    for node in ast.walk(tree):
        if id(node) in skipped:
            continue
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            assert node.module is not None
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def _is_typing_block(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"
