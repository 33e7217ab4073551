"""A GGUF file's head is read, or refused with the reason."""

import random
import struct
from pathlib import Path

import pytest

from models.errors import InvalidModelFile
from models.formats.gguf_header import read_header
from models.formats.gguf_reader import read_directory
from tests.gguf_builder import Shape, vocabulary, write_adapter, write_garbage, write_model, write_truncated


def test_a_model_describes_itself(tmp_path: Path) -> None:
    path = write_model(tmp_path / "m.gguf", shape=Shape(layers=3, heads=4, kv_heads=2), template="{{ messages }}")
    header = read_header(path)
    assert (header.architecture, header.name, header.licence) == ("llama", "tiny", "apache-2.0")
    assert (header.layers, header.heads, header.kv_heads, header.context_length) == (3, 4, (2, 2, 2), 512)
    assert (header.vocab_size, header.tokenizer, header.quantisation) == (len(vocabulary()[0]), "llama", "F32")
    assert header.chat_template == "{{ messages }}"
    assert sum(layer.values for layer in header.cache) == 3 * 2 * (16 + 16)
    assert header.weight_bytes == header.parameters * 4 < header.file_bytes == path.stat().st_size


def test_unusable_files_are_refused_with_their_reason(tmp_path: Path) -> None:
    cases = {
        "not a GGUF": write_garbage(tmp_path / "garbage.gguf"),
        "truncated": write_truncated(tmp_path / "truncated.gguf"),
        "vocabulary only": write_model(tmp_path / "vocab.gguf", tensors=False),
        "'quux' is unknown": write_model(tmp_path / "unknown.gguf", architecture="quux"),
        "no tokenizer": write_model(tmp_path / "mute.gguf", tokenizer=False),
        "does not write text": write_model(tmp_path / "bert.gguf", architecture="bert"),
        "an adapter": write_adapter(tmp_path / "adapter.gguf"),
        "No such file": tmp_path / "absent.gguf",
        "is a directory, not a regular file": tmp_path,
    }
    for why, path in cases.items():
        with pytest.raises(InvalidModelFile) as caught:
            read_header(path)
        assert why in caught.value.why
        assert str(path) in caught.value.what
        assert caught.value.hint


def test_an_empty_file_is_not_a_gguf(tmp_path: Path) -> None:
    path = tmp_path / "empty.gguf"
    path.touch()
    with pytest.raises(InvalidModelFile, match="not a GGUF"):
        read_header(path)


def test_big_endian_and_future_versions_are_named(tmp_path: Path) -> None:
    path = tmp_path / "m.gguf"
    for version, why in ((struct.pack(">I", 3), "big-endian"), (struct.pack("<I", 9), "version 9")):
        path.write_bytes(b"GGUF" + version + bytes(64))
        with pytest.raises(InvalidModelFile, match=why):
            read_header(path)


def test_claimed_lengths_are_not_trusted(tmp_path: Path) -> None:
    path = tmp_path / "m.gguf"
    huge = 2**62
    heads = (
        struct.pack("<QQ", huge, 1),
        struct.pack("<QQ", 0, huge),
        struct.pack("<QQQ", 0, 1, huge),
        struct.pack("<QQQ1sIIQ", 0, 1, 1, b"k", 9, 8, 2**24),
        struct.pack("<QQQ1sIIQ", 0, 1, 1, b"k", 9, 9, 1),
        struct.pack("<QQQ1sIQ", 0, 1, 1, b"k", 8, huge),
    )
    for head in heads:
        path.write_bytes(b"GGUF" + struct.pack("<I", 3) + head)
        with pytest.raises(InvalidModelFile):
            read_directory(path)


def test_damaged_heads_are_refused_or_read_but_never_crash_the_reader(tmp_path: Path) -> None:
    good = write_model(tmp_path / "good.gguf").read_bytes()
    head_length = read_directory(tmp_path / "good.gguf").tensors[0].offset
    path = tmp_path / "bad.gguf"
    dice = random.Random(7)
    refused = 0
    for _ in range(300):
        data = bytearray(good)
        for _ in range(dice.randint(1, 8)):
            data[dice.randrange(min(head_length, 1500) if dice.random() < 0.7 else head_length)] = dice.randrange(256)
        path.write_bytes(data)
        try:
            read_header(path)
        except InvalidModelFile:
            refused += 1
    assert refused > 50


def test_a_file_cut_anywhere_is_refused(tmp_path: Path) -> None:
    good = write_model(tmp_path / "good.gguf").read_bytes()
    path = tmp_path / "cut.gguf"
    for keep in (*range(0, 400, 7), len(good) // 3, len(good) - 1):
        path.write_bytes(good[:keep])
        with pytest.raises(InvalidModelFile):
            read_header(path)
