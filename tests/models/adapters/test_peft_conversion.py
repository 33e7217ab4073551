"""PEFT folders become GGUF adapters that change the base in the same way, or are refused with the reason."""

import contextlib
import json
import math
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import pytest
from numpy.typing import NDArray

from models.adapters.catalog import AdapterCatalog, AdapterSpec
from models.adapters.gguf_lora import read_adapter
from models.catalog.catalog import Catalog, ModelSpec
from models.errors import InvalidModelFile
from models.formats.safetensors import read_safetensors
from tests.gguf_builder import Shape, write_model
from tests.peft_builder import Tensors, safetensors, tensors, write_peft

QUERIES = "base_model.model.model.layers.0.self_attn.q_proj"
Bring = Callable[[Path], AdapterSpec]


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> ModelSpec:
    folder = tmp_path_factory.mktemp("base")
    return Catalog(folder / "models").import_gguf(write_model(folder / "base.gguf"))


@pytest.fixture
def bring(tmp_path: Path, base: ModelSpec) -> Bring:
    catalog = AdapterCatalog(tmp_path / "adapters")
    return lambda folder: catalog.import_adapter(folder, bases=[base])


def changes_of(path: Path) -> dict[str, NDArray[np.float64]]:
    """What a GGUF adapter adds to each matrix of its base, computed as llama.cpp does."""
    alpha = read_adapter(path).alpha
    found = {tensor.name: gguf.dequantize(tensor.data, tensor.tensor_type) for tensor in gguf.GGUFReader(path).tensors}
    lows = [name for name in found if name.endswith(".lora_a")]
    return {
        name.removesuffix(".lora_a"): found[name[:-1] + "b"].astype(np.float64) @ found[name] * alpha / len(found[name])
        for name in lows
    }


def expected(values: Tensors, module: str, scale: float, heads: int = 0) -> NDArray[np.float64]:
    """The same computed as PEFT does: scale * B @ A, with the rows in the order of llama.cpp's rotary positions."""
    low, high = values[f"{module}.lora_A.weight"], values[f"{module}.lora_B.weight"]
    change = scale * (high.astype(np.float64) @ low)
    if not heads:
        return change
    size = len(change) // heads
    moved = np.empty_like(change)
    for row in range(len(change)):
        head, at = divmod(row, size)  # Hugging Face rotates row i with row i + size/2, llama.cpp 2i with 2i + 1
        moved[head * size + (2 * at if at < size // 2 else 2 * (at - size // 2) + 1)] = change[row]
    return moved


@pytest.mark.parametrize("config", [{}, {"use_rslora": True}, {"r": 2, "lora_alpha": 32}, {"lora_alpha": -3.5}])
def test_the_converted_adapter_changes_the_base_as_peft_does(
    bring: Bring, tmp_path: Path, config: dict[str, Any]
) -> None:
    rank, alpha = config.get("r", 4), config.get("lora_alpha", 8)
    scale = alpha / math.sqrt(rank) if config.get("use_rslora") else alpha / rank
    values = tensors(rank=rank)
    spec = bring(write_peft(tmp_path / "peft", values, **config))
    found = changes_of(spec.path)
    assert len(found) == 6
    for layer in range(2):
        module = f"base_model.model.model.layers.{layer}"
        for ours, theirs, heads in (
            ("attn_q", "self_attn.q_proj", 4),
            ("attn_k", "self_attn.k_proj", 2),
            ("ffn_down", "mlp.down_proj", 0),
        ):
            wanted = expected(values, f"{module}.{theirs}", scale, heads)
            np.testing.assert_allclose(found[f"blk.{layer}.{ours}.weight"], wanted, rtol=1e-5, atol=1e-5)
    assert spec.rank == rank


def test_patterns_of_rank_and_alpha_are_applied(bring: Bring, tmp_path: Path) -> None:
    values = tensors()
    narrow = tensors(rank=2, seed=5)
    values |= {name: value for name, value in narrow.items() if "down_proj" in name}
    patterns = {"rank_pattern": {"down_proj": 2}, "alpha_pattern": {"layers.0.self_attn.q_proj": 40}}
    found = changes_of(bring(write_peft(tmp_path / "peft", values, **patterns)).path)
    down = expected(values, "base_model.model.model.layers.1.mlp.down_proj", 8 / 2)
    np.testing.assert_allclose(found["blk.1.ffn_down.weight"], down, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(found["blk.0.attn_q.weight"], expected(values, QUERIES, 40 / 4, 4), rtol=1e-5, atol=1e-4)
    other = expected(values, QUERIES.replace("layers.0", "layers.1"), 8 / 4, 4)
    np.testing.assert_allclose(found["blk.1.attn_q.weight"], other, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("kind", ["float16", "bfloat16", "float64"])
def test_other_precisions_are_read(bring: Bring, tmp_path: Path, kind: str) -> None:
    exact = {name: (value * 8).round() / 8 for name, value in tensors().items()}
    stored = {
        name: (value.view(np.uint32) >> 16).astype(np.uint16) if kind == "bfloat16" else value.astype(kind)
        for name, value in exact.items()
    }
    found = changes_of(bring(write_peft(tmp_path / "peft", stored)).path)
    np.testing.assert_allclose(found["blk.0.attn_q.weight"], expected(exact, QUERIES, 2, 4), rtol=1e-5, atol=1e-5)


def test_the_same_folder_gives_the_same_content(bring: Bring, tmp_path: Path) -> None:
    assert bring(write_peft(tmp_path / "one")).sha256 == bring(write_peft(tmp_path / "two")).sha256


def test_names_with_the_adapters_own_name_in_them_are_read(bring: Bring, tmp_path: Path) -> None:
    named = {name.replace(".weight", ".default.weight"): value for name, value in tensors().items()}
    assert len(changes_of(bring(write_peft(tmp_path / "peft", named)).path)) == 6


# -- what is no plain LoRA --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("config", "why"),
    [
        ({"use_dora": True}, "DoRA"),
        ({"modules_to_save": ["lm_head"]}, "replaces whole modules"),
        ({"bias": "all"}, "biases"),
        ({"peft_type": "IA3"}, "only LORA"),
        ({"init_lora_weights": "pissa_niter_4"}, "changes the model's own weights"),
        ({"rank_pattern": {"(a+)+b": 4}}, "regular expression"),
        ({"rank_pattern": [1]}, "not an object"),
        ({"r": 0}, "rank r is 0"),
        ({"r": True}, "rank r is True"),
        ({"r": 1 << 40}, "rank r is"),
        ({"lora_alpha": "much"}, "alpha lora_alpha is 'much'"),
        ({"lora_alpha": float("nan")}, "alpha lora_alpha is nan"),
        ({"lora_alpha": 10**400}, "alpha lora_alpha is"),
        ({"r": 8}, "have the ranks 4 and 4"),
        ({"layer_replication": [[0, 1]]}, "repeats layers"),
    ],
)
def test_anything_but_plain_lora_is_refused(bring: Bring, tmp_path: Path, config: dict[str, Any], why: str) -> None:
    with pytest.raises(InvalidModelFile, match=why) as caught:
        bring(write_peft(tmp_path / "peft", **config))
    assert caught.value.hint


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("base_model.model.model.embed_tokens.weight", "not a factor of a plain LoRA"),
        ("base_model.model.model.embed_tokens.lora_embedding_A", "not a factor of a plain LoRA"),
        ("base_model.model.model.layers.0.self_attn.q_proj.lora_magnitude_vector", "not a factor of a plain LoRA"),
        ("base_model.model.model.embed_tokens.lora_A.weight", "embed_tokens, which is not a matrix"),
        ("base_model.model.model.layers.0.mlp.experts.lora_A.weight", "experts, which is not a matrix"),
        ("base_model.model.model.layers.9.self_attn.q_proj.lora_A.weight", "layers.9.self_attn.q_proj"),
        ("base_model.model.model.layers.0.self_attn.q_proj.lora_A.other.weight", "several adapters"),
        ("base_model.model.model.layers.0.self_attn.v_proj.lora_A.weight", "the two factors"),
    ],
)
def test_an_adapter_with_tensors_that_would_be_left_out_is_refused(
    bring: Bring, tmp_path: Path, name: str, why: str
) -> None:
    values = tensors()
    values[name] = np.ones((4, 64), np.float32)
    if name.endswith("lora_A.weight") and "v_proj" not in name:
        values[name.replace("lora_A", "lora_B")] = np.ones((64, 4), np.float32)
    with pytest.raises(InvalidModelFile, match=why):
        bring(write_peft(tmp_path / "peft", values))


def test_the_head_is_changed_where_the_model_has_its_own(bring: Bring, base: ModelSpec, tmp_path: Path) -> None:
    values = tensors()
    values["base_model.model.lm_head.lora_A.weight"] = np.ones((4, 64), np.float32)
    values["base_model.model.lm_head.lora_B.weight"] = np.ones((base.header.vocab_size, 4), np.float32)
    assert "output.weight" in changes_of(bring(write_peft(tmp_path / "peft", values)).path)
    tied = Catalog(tmp_path / "models").import_gguf(write_model(tmp_path / "tied.gguf", without="output.weight"))
    with pytest.raises(InvalidModelFile, match=r"output\.weight, which the model does not have"):
        AdapterCatalog(tmp_path / "others").import_adapter(tmp_path / "peft", bases=[tied])


def test_a_folder_for_another_base_is_refused_with_the_shapes(bring: Bring, tmp_path: Path) -> None:
    with pytest.raises(InvalidModelFile, match="as 128x128, the model's is 64x64"):
        bring(write_peft(tmp_path / "peft", tensors(Shape(width=128))))


def test_an_architecture_with_an_unknown_order_of_rows_is_refused(tmp_path: Path) -> None:
    other = Catalog(tmp_path / "models").import_gguf(write_model(tmp_path / "m.gguf", architecture="falcon"))
    with pytest.raises(InvalidModelFile, match="architecture falcon cannot be converted"):
        AdapterCatalog(tmp_path / "adapters").import_adapter(write_peft(tmp_path / "peft"), bases=[], base=other)


# -- broken folders ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("missing", ["adapter_config.json", "adapter_model.safetensors"])
def test_a_folder_without_one_of_its_files_is_refused(bring: Bring, tmp_path: Path, missing: str) -> None:
    folder = write_peft(tmp_path / "peft")
    (folder / missing).unlink()
    with pytest.raises(InvalidModelFile):
        bring(folder)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_values_that_are_not_finite_are_refused(bring: Bring, tmp_path: Path, value: float) -> None:
    values = tensors()
    values[f"{QUERIES}.lora_B.weight"][3, 1] = value
    with pytest.raises(InvalidModelFile, match="not finite numbers"):
        bring(write_peft(tmp_path / "peft", values))


@pytest.mark.parametrize(
    "entry",
    [
        {"dtype": "F32", "shape": [4, 64], "data_offsets": [0, 1 << 50]},
        {"dtype": "F32", "shape": [4, 64], "data_offsets": [-1024, 0]},
        {"dtype": "F32", "shape": [4, 64], "data_offsets": [0, 1024]},  # overlaps the first
        {"dtype": "F32", "shape": [1 << 40, 1 << 40], "data_offsets": [0, 1024]},
        {"dtype": "F32", "shape": [4.0, 64], "data_offsets": [0, 1024]},
        {"dtype": "F32", "shape": "4x64", "data_offsets": [0, 1024]},
        {"dtype": "I8", "shape": [4, 64], "data_offsets": [0, 256]},
        {"dtype": ["F32"], "shape": [4, 64], "data_offsets": [0, 256]},
        {"dtype": "F32", "shape": [4, 64]},
        "nonsense",
        None,
    ],
)
def test_a_head_with_false_offsets_is_refused(tmp_path: Path, entry: object) -> None:
    (tmp_path / "x.safetensors").write_bytes(safetensors(tensors(), lie=entry))
    with pytest.raises(InvalidModelFile):
        read_safetensors(tmp_path / "x.safetensors")


@pytest.mark.parametrize(
    "data",
    [b"", b"\0" * 8, b"\xff" * 64, (1 << 40).to_bytes(8, "little") + b"{}", b"\2" + b"\0" * 7 + b"[]"]
    + [len(text).to_bytes(8, "little") + text for text in (b"[" * 100_000, b'{"a":1,"a":1}', b"\xff\xfe")],
)
def test_a_file_that_is_not_safetensors_is_refused(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "x.safetensors").write_bytes(data)
    with pytest.raises(InvalidModelFile):
        read_safetensors(tmp_path / "x.safetensors")


def test_a_file_broken_anywhere_is_refused_or_read_whole_and_leaves_nothing_behind(
    bring: Bring, tmp_path: Path, base: ModelSpec
) -> None:
    """With truncation and random bytes: no other exception, no half adapter, none with NaNs."""
    folder, chance = write_peft(tmp_path / "peft", tensors(seed=1)), random.Random(6)
    file = folder / "adapter_model.safetensors"
    whole = file.read_bytes()
    head = int.from_bytes(whole[:8], "little") + 8
    refused = 0
    for turn in range(120):
        data = bytearray(whole)
        if turn % 3 == 0:
            data = data[: chance.randrange(len(data))]
        else:
            for _ in range(chance.randint(1, 6)):
                data[chance.randrange(head if turn % 3 == 1 else len(data))] = chance.randrange(256)
        file.write_bytes(data)
        try:
            read = read_safetensors(file)
            for name in read.tensors:
                read.read(name)
            if turn % 6 == 5:
                assert np.isfinite(next(iter(changes_of(bring(folder).path).values()))).all()
                AdapterCatalog(tmp_path / "adapters").remove("peft")
        except InvalidModelFile:
            refused += 1
    assert refused > 60
    left = {path.name for path in (tmp_path / "adapters").iterdir()} if (tmp_path / "adapters").exists() else set()
    assert left <= {".lock"}


def test_a_config_broken_anywhere_is_refused_or_understood(bring: Bring, tmp_path: Path) -> None:
    folder, chance = write_peft(tmp_path / "peft"), random.Random(8)
    config = json.loads((folder / "adapter_config.json").read_text())
    odd: list[object] = [None, True, -1, 1e300, "", "x", [], [1], {}, {"a": "b"}, {"q_proj": None}]
    for key in config:
        value = chance.choice(odd)
        (folder / "adapter_config.json").write_text(json.dumps({**config, key: value}))
        with contextlib.suppress(InvalidModelFile):
            bring(folder)
    for text in ("", "[]", "{", "[" * 50_000, '{"r": 1' + " " * (1 << 20) + "}"):
        (folder / "adapter_config.json").write_text(text)
        with pytest.raises(InvalidModelFile):
            bring(folder)
