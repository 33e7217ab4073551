"""Reads safetensors files within bounds: eight bytes with the head's length, a JSON head, then the tensors' bytes.

Safe for untrusted files: lengths and offsets are checked against the file's size before anything is read, every byte
after the head must belong to exactly one tensor, and nothing is mapped into memory.
"""

import json
import os
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any, BinaryIO, Final

import numpy as np
from numpy.typing import NDArray

from models.errors import InvalidModelFile
from models.formats.regular_file import open_regular

_LENGTH_BYTES: Final = 8
_MAX_HEAD: Final = 16 * 1024 * 1024  # bytes; this and the next are far above any known adapter, chosen by eye
_MAX_DIMENSIONS: Final = 8
_TYPES: Final = {"F64": 8, "F32": 4, "F16": 2, "BF16": 2}
_HINT: Final = "download or export the adapter again"


@dataclass(frozen=True, slots=True)
class Stored:
    """One tensor: shape (slowest first), `offset` from the file's start, `size` in bytes."""

    name: str
    type: str
    shape: tuple[int, ...]
    offset: int
    size: int


@dataclass(frozen=True, slots=True)
class SafetensorsFile:
    """A file whose head has been checked."""

    path: Path
    tensors: dict[str, Stored]

    def read(self, name: str) -> NDArray[np.float32] | NDArray[np.float16]:
        """Read a tensor: float16 as it is, any other type as float32. Raises InvalidModelFile."""
        stored = self.tensors[name]
        try:
            with open_regular(self.path) as file:
                file.seek(stored.offset)
                data = file.read(stored.size)
        except OSError as error:
            raise _unreadable(self.path, error) from error
        if len(data) != stored.size:
            raise _invalid(self.path, "it ends before its tensors do")
        return _values(data, stored.type).reshape(stored.shape)


def read_safetensors(path: Path) -> SafetensorsFile:
    """Read the head. Raises InvalidModelFile if the file cannot be read or is not valid."""
    try:
        with open_regular(path) as file:
            return SafetensorsFile(path, _tensors(path, file))
    except OSError as error:
        raise _unreadable(path, error) from error


def _tensors(path: Path, file: BinaryIO) -> dict[str, Stored]:
    size = os.fstat(file.fileno()).st_size
    length = int.from_bytes(file.read(_LENGTH_BYTES), "little")
    if size < _LENGTH_BYTES or length > min(_MAX_HEAD, size - _LENGTH_BYTES):
        raise _invalid(path, "it is not a safetensors file, or it is truncated")
    try:
        head = json.loads(file.read(length), object_pairs_hook=_without_doubles)
    except (ValueError, RecursionError) as error:
        raise _invalid(path, f"its head is not valid JSON: {error}") from error
    if not isinstance(head, dict):
        raise _invalid(path, "its head is not a JSON object")
    start = _LENGTH_BYTES + length
    found = [_stored(path, name, entry, start) for name, entry in head.items() if name != "__metadata__"]
    end = start
    for one in sorted(found, key=lambda one: (one.offset, one.size)):
        if one.offset != end:
            raise _invalid(path, f"its tensor {one.name} overlaps another, or leaves a gap")
        end += one.size
    if end != size:
        raise _invalid(path, f"it should have {end} bytes, but has {size}")
    return {one.name: one for one in found}


def _stored(path: Path, name: str, entry: Any, start: int) -> Stored:
    try:
        kind, shape, (begin, end) = entry["dtype"], entry["shape"], entry["data_offsets"]
    except (TypeError, KeyError, ValueError) as error:
        raise _invalid(path, f"its head does not describe the tensor {name}") from error
    if not isinstance(kind, str) or kind not in _TYPES:
        raise _invalid(path, f"its tensor {name} has the type {kind!r}; {', '.join(_TYPES)} can be read")
    numbers = [*shape, begin, end] if isinstance(shape, list) and len(shape) <= _MAX_DIMENSIONS else [-1]
    if not all(type(number) is int and 0 <= number < 1 << 48 for number in numbers):
        raise _invalid(path, f"the shape or offsets of its tensor {name} are not valid")
    if end - begin != prod(shape) * _TYPES[kind]:
        raise _invalid(path, f"the size of its tensor {name} does not match its shape")
    return Stored(name, kind, tuple(shape), start + begin, end - begin)


def _values(data: bytes, kind: str) -> NDArray[np.float32] | NDArray[np.float16]:
    if kind == "F16":
        return np.frombuffer(data, "<f2")
    if kind == "BF16":  # the upper half of a float32
        return (np.frombuffer(data, "<u2").astype(np.uint32) << 16).view(np.float32)
    with np.errstate(over="ignore"):  # a value that is too large becomes infinite, which the caller refuses
        return np.frombuffer(data, "<f8" if kind == "F64" else "<f4").astype(np.float32)


def _without_doubles(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a name occurs in it twice")
    return found


def _unreadable(path: Path, error: OSError) -> InvalidModelFile:
    return InvalidModelFile(f"reading {path}", error.strerror or str(error), "check the path and its permissions")


def _invalid(path: Path, why: str) -> InvalidModelFile:
    return InvalidModelFile(f"reading {path}", why, _HINT)
