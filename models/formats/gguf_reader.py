"""Parses the head of a GGUF file within bounds: scalars, strings, and the offsets of the tensors.

Safe for untrusted files: every length is checked against a limit and the file's size before anything is read or
allocated. Arrays of a vocabulary are skipped (only their length is kept), and nothing is mapped into memory. The `gguf`
library's own reader maps the file, turns each of 300,000 vocabulary entries into arrays (seconds for a large
vocabulary) and trusts lengths; this parser takes 0.1 s for a large vocabulary.
"""

import os
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import BinaryIO, Final

import gguf

from models.errors import InvalidModelFile
from models.formats.regular_file import open_regular

# Bounds far above any known model; chosen by eye.
_MAX_KEYS: Final = 65_536
_MAX_TENSORS: Final = 262_144
_MAX_NAME: Final = 65_535
_MAX_STRING: Final = 16 * 1024 * 1024
_MAX_ARRAY: Final = 16 * 1024 * 1024
_MAX_DIMENSIONS: Final = 4
_MAX_HEAD: Final = 1024 * 1024 * 1024
_KEEP_ARRAY: Final = 4096  # per-layer lists are kept, vocabularies are not
_CHUNK: Final = 1 << 20
_STRING, _ARRAY = 8, 9
_SCALARS: Final = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}
_VERSIONS: Final = (2, 3)
_MAGIC: Final = b"GGUF"

Scalar = str | int | float | bool


@dataclass(frozen=True, slots=True)
class Array:
    """An array's length, and its values unless it is long or holds strings."""

    length: int
    values: tuple[int | float | bool, ...] = ()


Value = Scalar | Array


@dataclass(frozen=True, slots=True)
class Tensor:
    """One tensor: dimensions (fastest first), name of its type, `size` in bytes, `offset` from the file's start."""

    name: str
    shape: tuple[int, ...]
    type: str
    size: int
    offset: int


@dataclass(frozen=True, slots=True)
class GgufDirectory:
    """Everything in a file except its weights."""

    path: Path
    file_bytes: int
    metadata: Mapping[str, Value]
    tensors: tuple[Tensor, ...]


def read_directory(path: Path, *, hint: str = "import a .gguf file") -> GgufDirectory:
    """Parse the head. Raises InvalidModelFile if the file is unreadable, not regular, truncated, or (`hint`) no GGUF."""
    try:
        with open_regular(path) as file:
            return _Reader(path, file).head(hint)
    except OSError as error:
        raise InvalidModelFile(
            f"reading {path}", error.strerror or str(error), "check the path and its permissions"
        ) from error


class _Reader:
    """Parses one file. `_data` holds the bytes read so far; `_at` is the next byte to parse."""

    def __init__(self, path: Path, file: BinaryIO) -> None:
        self._path = path
        self._file = file
        self._file_bytes = os.fstat(file.fileno()).st_size
        self._data = bytearray()
        self._at = 0

    def head(self, hint: str) -> GgufDirectory:
        self._check_magic(hint)
        tensor_count, key_count = self._unpack("QQ")
        if tensor_count > _MAX_TENSORS or key_count > _MAX_KEYS:
            raise self._invalid(f"it claims {key_count} keys and {tensor_count} tensors, more than any model has")
        metadata = dict(self._entry() for _ in range(key_count))
        infos = [self._tensor_info() for _ in range(tensor_count)]
        return GgufDirectory(self._path, self._file_bytes, metadata, self._place(infos, metadata))

    # -- parts of the layout ------------------------------------------------------------------------------------------

    def _check_magic(self, hint: str) -> None:
        if self._file_bytes < len(_MAGIC) + 4 or bytes(self._take(4)) != _MAGIC:
            raise self._invalid("it is not a GGUF file (its first four bytes are not 'GGUF')", hint)
        (version,) = self._unpack("I")
        if version not in _VERSIONS:
            swapped = int.from_bytes(int(version).to_bytes(4, "little"), "big")
            why = "it is a big-endian GGUF" if swapped in _VERSIONS else f"its GGUF version {version} is not supported"
            raise self._invalid(why, "import a little-endian GGUF of version 2 or 3")

    def _entry(self) -> tuple[str, Value]:
        key = self._string(_MAX_NAME)
        (kind,) = self._unpack("I")
        return key, self._value(kind)

    def _value(self, kind: int) -> Value:
        if kind == _STRING:
            return self._string(_MAX_STRING)
        if kind == _ARRAY:
            return self._array()
        if kind not in _SCALARS:
            raise self._invalid(f"it holds a value of the unknown type {kind}")
        value: Scalar = self._unpack(_SCALARS[kind])[0]
        return value

    def _array(self) -> Array:
        kind, length = self._unpack("IQ")
        if length > _MAX_ARRAY:
            raise self._invalid(f"it holds an array of {length} values, more than any model has")
        if kind == _STRING:
            self._skip_strings(length)
            return Array(length)
        if kind not in _SCALARS:
            raise self._invalid(f"it holds an array of the unsupported type {kind}")
        size = length * struct.calcsize(_SCALARS[kind])
        if length > _KEEP_ARRAY:
            self._need(size)
            self._at += size
            return Array(length)
        return Array(length, self._unpack(f"{length}{_SCALARS[kind]}"))

    def _skip_strings(self, count: int) -> None:
        """Skip a whole vocabulary. A hot loop: looks at the lengths only."""
        read = struct.Struct("<Q").unpack_from
        for _ in range(count):
            if self._at + 8 > len(self._data):
                self._need(8)
            length = read(self._data, self._at)[0]
            if length > _MAX_STRING:
                raise self._invalid(f"it holds a text of {length} bytes")
            self._at += 8
            if self._at + length > len(self._data):
                self._need(length)
            self._at += length

    def _tensor_info(self) -> tuple[str, tuple[int, ...], str, int, int]:
        """Name, shape, type, size in bytes, offset from the start of the tensors."""
        name = self._string(_MAX_NAME)
        (dimensions,) = self._unpack("I")
        if not 1 <= dimensions <= _MAX_DIMENSIONS:
            raise self._invalid(f"its tensor {name!r} has {dimensions} dimensions")
        shape = self._unpack(f"{dimensions}Q")
        if min(shape) < 1:
            raise self._invalid(f"its tensor {name!r} has the shape {'x'.join(map(str, shape))}")
        number, offset = self._unpack("IQ")
        try:
            kind = gguf.GGMLQuantizationType(number)
        except ValueError:
            raise self._invalid(
                f"its tensor {name!r} has the type {number}, which is unknown",
                "import another quantisation of this model",
            ) from None
        block, block_bytes = gguf.GGML_QUANT_SIZES[kind]
        return name, shape, kind.name, prod(shape) // block * block_bytes, offset

    def _place(
        self, infos: list[tuple[str, tuple[int, ...], str, int, int]], metadata: Mapping[str, Value]
    ) -> tuple[Tensor, ...]:
        alignment = metadata.get("general.alignment", 32)
        if not isinstance(alignment, int) or alignment < 1:
            raise self._invalid(f"its alignment is {alignment!r}")
        start = -(-self._at // alignment) * alignment
        tensors = tuple(Tensor(name, shape, kind, size, start + at) for name, shape, kind, size, at in infos)
        end = max((tensor.offset + tensor.size for tensor in tensors), default=0)
        if end > self._file_bytes:
            raise self._truncated(end)
        return tensors

    # -- bytes --------------------------------------------------------------------------------------------------------

    def _unpack(self, form: str) -> tuple[int, ...]:
        layout = struct.Struct("<" + form)
        self._need(layout.size)
        values = layout.unpack_from(self._data, self._at)
        self._at += layout.size
        return values

    def _string(self, limit: int) -> str:
        (length,) = self._unpack("Q")
        if length > limit:
            raise self._invalid(f"it holds a text of {length} bytes")
        return self._take(length).decode("utf-8", "replace")

    def _take(self, count: int) -> bytearray:
        self._need(count)
        self._at += count
        return self._data[self._at - count : self._at]

    def _need(self, count: int) -> None:
        """Read until `_data` has `count` bytes after `_at`."""
        end = self._at + count
        if end > self._file_bytes:
            raise self._truncated(end)
        if end > _MAX_HEAD:
            raise self._invalid("its head is larger than any model's")
        while len(self._data) < end:
            more = self._file.read(max(_CHUNK, end - len(self._data)))
            if not more:
                raise self._truncated(end)
            self._data += more

    def _truncated(self, end: int) -> InvalidModelFile:
        return self._invalid(
            f"it is truncated: it has {self._file_bytes} bytes and needs at least {end}",
            "copy or download it again",
        )

    def _invalid(self, why: str, hint: str = "download it again, or import another file") -> InvalidModelFile:
        return InvalidModelFile(f"reading {self._path}", why, hint)
