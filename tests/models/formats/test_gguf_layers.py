"""Weights and caches by layer, as llama.cpp has them for each architecture."""

from collections.abc import Mapping

import pytest

from models.formats.gguf_layers import LayerCache, cache_by_layer, cells_of
from models.formats.gguf_reader import Array, Value
from models.memory.repacking import repacked_types


def caches(architecture: str, heads: tuple[int, ...], **more: Value) -> tuple[LayerCache, ...]:
    metadata: Mapping[str, Value] = {f"{architecture}.{key.replace('__', '.')}": value for key, value in more.items()}
    return cache_by_layer(architecture, metadata, heads, (64, 32), 256)


def test_each_layer_stores_its_heads_keys_and_values() -> None:
    assert caches("llama", (2, 0, 4)) == (LayerCache(192, 0, 0), LayerCache(0, 0, 0), LayerCache(384, 0, 0))


@pytest.mark.parametrize(
    ("architecture", "windowed"),
    [
        ("gemma2", [True, False, True, False, True, False]),
        ("gemma3", [True, True, True, True, True, False]),
        ("smallthinker", [False, True, True, True, False, True]),
        ("llama", [False] * 6),
        ("phi3", [False] * 6),  # llama.cpp disables its window
    ],
)
def test_a_window_counts_only_where_llama_cpp_has_one(architecture: str, windowed: list[bool]) -> None:
    found = caches(architecture, (2,) * 6, attention__sliding_window=512)
    assert [layer.window == 512 for layer in found] == windowed


def test_a_pattern_stated_in_the_file_takes_precedence() -> None:
    told = Array(4, (True, False, False, True))
    found = caches("gemma4", (1,) * 4, attention__sliding_window=512, attention__sliding_window_pattern=told)
    assert [layer.window for layer in found] == [512, 0, 0, 512]
    every = caches("gemma3", (1,) * 4, attention__sliding_window=512, attention__sliding_window_pattern=2)
    assert [layer.window for layer in every] == [512, 0, 512, 0]


def test_compressed_attention_stores_no_separate_values() -> None:
    assert caches("deepseek2", (1,), attention__key_length_mla=192)[0].values == 64


def test_recurrent_layers_keep_a_state_for_each_sequence_and_no_cells() -> None:
    mamba = {"ssm__inner_size": 512, "ssm__state_size": 16, "ssm__conv_kernel": 4, "ssm__group_count": 0}
    assert caches("mamba", (0,), **mamba) == (LayerCache(0, 0, 3 * 512 + 512 * 16),)
    hybrid = caches("qwen3next", (2,) * 4, **mamba)
    assert [bool(layer.values) for layer in hybrid] == [False, False, False, True]
    assert [bool(layer.state) for layer in hybrid] == [True, True, True, False]


def test_cells_are_padded_and_a_window_needs_cells_for_each_sequence() -> None:
    assert cells_of(1000, 0, 4, 128) == 1024
    assert cells_of(32_768, 512, 4, 128) == 2304
    assert cells_of(1024, 4096, 4, 128) == 1024


def test_repacked_types_follow_the_cpu() -> None:
    assert repacked_types("x86_64", frozenset({"sse4_2"})) == frozenset()
    assert "Q8_0" not in repacked_types("x86_64", frozenset({"avx2"}))
    assert repacked_types("x86_64", frozenset({"avx2", "avx512f"})) - repacked_types("x86_64", frozenset({"avx2"}))
    assert "Q8_0" in repacked_types("aarch64", frozenset({"asimddp"}))
