"""Builds tiny embedding models: a table of word vectors as an ONNX graph, a tokenizer of whole words, a manifest."""

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import Whitespace
from tokenizers.processors import TemplateProcessing

WORDS = ["[UNK]", "[CLS]", "[SEP]", "query", "passage", ":", "red", "green", "blue"]
TABLE = np.array([[i, i % 2, (i + 1) % 3] for i in range(len(WORDS))], dtype=np.float32)
"""The vector of each word; the graph looks them up, and its pooled output adds them."""


def write_embedder(folder: Path, **changes: Any) -> Path:
    """Write a folder with a model of 3 dimensions that works with any pooling; `changes` apply to its manifest."""
    folder.mkdir(parents=True, exist_ok=True)
    onnx.save(_graph(), str(folder / "words.onnx"))
    _tokenizer().save(str(folder / "tokenizer.json"))
    manifest = {
        "format": 1,
        "name": "words",
        "model": "words.onnx",
        "tokenizer": "tokenizer.json",
        "pooling": "mean",
        "normalise": False,
        "dimensions": 3,
        "max_tokens": 16,
        "sha256": {name: digest(folder / name) for name in ("words.onnx", "tokenizer.json")},
    }
    write_manifest(folder, manifest | changes)
    return folder


def write_manifest(folder: Path, manifest: Any) -> None:
    (folder / "manifest.json").write_text(json.dumps(manifest))


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _graph() -> onnx.ModelProto:
    """The input is `input_ids`; the outputs are `pooled` (2-D), `tokens` (3-D) and `sentence_embedding` (2-D)."""
    nodes = [
        helper.make_node("Gather", ["table", "input_ids"], ["tokens"]),
        helper.make_node("ReduceSum", ["tokens", "axis"], ["sentence_embedding"], keepdims=0),
        helper.make_node("ReduceMax", ["tokens"], ["pooled"], axes=[1], keepdims=0),
    ]
    constants = [numpy_helper.from_array(TABLE, "table"), numpy_helper.from_array(np.array([1]), "axis")]
    ids = helper.make_tensor_value_info("input_ids", TensorProto.INT64, ["batch", "sequence"])
    outputs = [
        helper.make_tensor_value_info("pooled", TensorProto.FLOAT, ["batch", 3]),
        helper.make_tensor_value_info("tokens", TensorProto.FLOAT, ["batch", "sequence", 3]),
        helper.make_tensor_value_info("sentence_embedding", TensorProto.FLOAT, ["batch", 3]),
    ]
    graph = helper.make_graph(nodes, "words", [ids], outputs, constants)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def _tokenizer() -> Tokenizer:
    tokenizer = Tokenizer(WordLevel({word: i for i, word in enumerate(WORDS)}, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = Whitespace()
    tokenizer.post_processor = TemplateProcessing(single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 1), ("[SEP]", 2)])
    return tokenizer
