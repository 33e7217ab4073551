"""Turns texts into vectors with ONNX Runtime. The only importer of onnxruntime.

Rule: a vector is a pure function of (model folder, text). Dynamic int8 quantisation takes its scale from the whole
input tensor, so a text in a batch would get another vector than alone: every run embeds one text, in one thread.
Several texts are embedded by parallel runs, which on a CPU is also the fastest way.

A text longer than the model's input is cut at its end: `embed_query` and `embed_passage` use its first `max_tokens`
tokens. The chunker makes shorter passages; a question that long loses its tail.
"""

import functools
import re
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol

import numpy as np
import onnxruntime
from numpy.typing import NDArray
from onnxruntime.capi import onnxruntime_pybind11_state
from tokenizers import Encoding, Tokenizer

from models.embedding.manifest import EmbedderManifest
from models.embedding.word_offsets import Spans, WordOffsets, splits_at_spaces
from models.errors import InvalidModelFile, ModelError, ModelLoadFailed
from models.hardware.cpus import effective_cpus

Vector = NDArray[np.float32]

BUILTIN = Path(__file__).parents[1] / "builtin" / "all-MiniLM-L6-v2"

# ONNX Runtime's exceptions have no common base class; wrong inputs raise built-in ones.
_RUNTIME_ERRORS: tuple[type[Exception], ...] = (
    *(e for e in vars(onnxruntime_pybind11_state).values() if isinstance(e, type) and issubclass(e, Exception)),
    RuntimeError,
    ValueError,
)
_SURROGATE = re.compile("[\ud800-\udfff]")
# An ONNX graph of one node: c = MatMulInteger(a: uint8[m, k], b: int8[k, n]), opset 10.
_MATMUL_INTEGER = (
    b'\x08\x08:b\n\x18\n\x01a\n\x01b\x12\x01c"\rMatMulInteger\x12\x01pZ\x15\n\x01a\x12\x10\n\x0e\x08\x02\x12\n'
    b"\n\x03\x12\x01m\n\x03\x12\x01kZ\x15\n\x01b\x12\x10\n\x0e\x08\x03\x12\n\n\x03\x12\x01k\n\x03\x12\x01n"
    b"b\x15\n\x01c\x12\x10\n\x0e\x08\x06\x12\n\n\x03\x12\x01m\n\x03\x12\x01nB\x04\n\x00\x10\n"
)
# Futures in flight for each thread: enough that no thread waits, few enough that memory stays flat.
_AHEAD = 4


class Turns(Protocol):
    """Schedules work that is not urgent."""

    def passage(self) -> AbstractContextManager[None]:
        """One text's turn: entering blocks until it begins, leaving ends it."""


class Embedder:
    """One loaded embedding model; every method may be called from any thread."""

    def __init__(
        self, manifest: EmbedderManifest, session: onnxruntime.InferenceSession, tokenizer: Tokenizer, threads: int
    ) -> None:
        """For `Embedder.open`, which callers use."""
        self._manifest = manifest
        self._session: Any = session
        self._tokenizer = tokenizer
        self._threads = threads
        self._inputs = {i.name for i in session.get_inputs()}
        self._output = _choose_output(manifest, session)
        self._offsets: Callable[[str], Spans] = self._encoded_offsets
        if splits_at_spaces(tokenizer):
            self._offsets = WordOffsets(self._encoded_offsets)
        self._special = tokenizer.num_special_tokens_to_add(False)
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="embed")
        self._background = ThreadPoolExecutor(threads, thread_name_prefix="embed-background")
        self.size = 0
        """Bytes of its files; set by `open`."""

    @classmethod
    def open(cls, folder: Path, *, threads: int | None = None) -> "Embedder":
        """Load the model in `folder`, to embed `threads` texts in parallel, by default one for each usable CPU.

        Raises InvalidModelFile if the folder does not match its manifest, ModelLoadFailed if the runtime refuses the
        model.
        """
        manifest = EmbedderManifest.load(folder)
        manifest.verify(folder)
        session = _load_session(folder / manifest.model)
        embedder = cls(manifest, session, _load_tokenizer(folder / manifest.tokenizer), threads or effective_cpus())
        embedder.size = sum((folder / name).stat().st_size for name in manifest.sha256)
        try:
            embedder._check(folder)
        except BaseException:
            embedder.close()
            raise
        return embedder

    @property
    def name(self) -> str:
        """The model's id."""
        return self._manifest.name

    @property
    def licence(self) -> str:
        """The model's licence, as its manifest says."""
        return self._manifest.licence

    @property
    def identity(self) -> str:
        """Hex digest of everything that determines a vector; see `EmbedderManifest.identity`."""
        return self._manifest.identity

    @property
    def dimensions(self) -> int:
        """Length of a vector."""
        return self._manifest.dimensions

    @property
    def max_tokens(self) -> int:
        """Length of the longest passage embedded whole, as counted by `count_tokens`."""
        return self._room(self._manifest.passage_prefix)

    def embed_passage(self, text: str) -> Vector:
        """The vector of a passage, shape (dimensions,)."""
        return self._embed(self._manifest.passage_prefix, text)

    def embed_query(self, text: str) -> Vector:
        """The vector of a question, shape (dimensions,)."""
        return self._embed(self._manifest.query_prefix, text)

    @property
    def tokenizer_id(self) -> str:
        """The tokenizer file's sha256. Besides the limits on length, chunks of a text depend on it alone."""
        return self._manifest.sha256[self._manifest.tokenizer]

    def embed_passages(self, texts: Iterable[str], turns: Turns | None = None) -> Iterator[Vector]:
        """Yield the vectors of `texts` in order; takes a few texts ahead of what is consumed, never all.

        With `turns`, runs in separate threads, each text at its turn, so that other calls never queue behind them.
        """
        waiting: deque[Future[Vector]] = deque()
        pool = self._background if turns else self._pool
        embed = functools.partial(self._embed_in_turn, turns) if turns else self.embed_passage
        try:
            for text in texts:
                waiting.append(pool.submit(embed, text))
                if len(waiting) >= self._threads * _AHEAD:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()

    def _embed_in_turn(self, turns: Turns, text: str) -> Vector:
        with turns.passage():
            return self.embed_passage(text)

    def count_tokens(self, text: str) -> int:
        """Number of tokens in `text`, of any length, without special tokens and prefix."""
        return len(self._encode(text))

    def token_offsets(self, text: str) -> list[tuple[int, int]]:
        """Start and end (exclusive) of each token of `text`, in characters. `text` may have any length."""
        return self._offsets(text)

    def close(self) -> None:
        """Wait for running texts, then free the model. Embedding afterwards raises RuntimeError."""
        self._background.shutdown(cancel_futures=True)
        self._pool.shutdown(cancel_futures=True)
        self._session = None

    def __enter__(self) -> "Embedder":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _encoded_offsets(self, text: str) -> Spans:
        return self._encode(text).offsets

    def _encode(self, text: str) -> Encoding:
        # The tokenizer refuses lone surrogates; one replacement for each keeps the offsets true.
        return self._tokenizer.encode(_SURROGATE.sub("\ufffd", text), add_special_tokens=False)

    def _room(self, prefix: str) -> int:
        return self._manifest.max_tokens - self._special - (self.count_tokens(prefix) if prefix else 0)

    def _embed(self, prefix: str, text: str) -> Vector:
        session = self._session
        if session is None:
            raise RuntimeError(f"the embedding model {self.name} is closed")
        encoding = self._encode(prefix + text)
        encoding.truncate(self._manifest.max_tokens - self._special)
        encoding = self._tokenizer.post_process(encoding)
        try:
            (output,) = session.run([self._output], self._feed(encoding))
        except _RUNTIME_ERRORS as error:
            what = f"embedding a text of {len(text)} characters with {self.name}"
            raise ModelError(what, str(error), "try again; if the error persists, run `docent doctor`") from error
        return self._finish(output)

    def _feed(self, encoding: Encoding) -> dict[str, NDArray[np.int64]]:
        ids = np.array([encoding.ids], dtype=np.int64)
        feed = {
            "input_ids": ids,
            "attention_mask": np.ones_like(ids),
            "token_type_ids": np.array([encoding.type_ids], dtype=np.int64),
        }
        return {name: value for name, value in feed.items() if name in self._inputs}

    def _finish(self, output: NDArray[np.float32]) -> Vector:
        """Pool and normalise one run's output of shape (1, tokens, dimensions) or (1, dimensions)."""
        vector: Vector = output[0].astype(np.float32, copy=False)
        if self._manifest.pooling == "mean":
            vector = vector.mean(axis=0)
        elif self._manifest.pooling == "cls":
            vector = vector[0]
        if self._manifest.normalise:
            vector = vector / max(float(np.linalg.norm(vector)), 1e-12)
        return vector

    def _check(self, folder: Path) -> None:
        """Embed one text on opening, so that a model that does not match its manifest fails now, not at a document."""
        if min(self._room(self._manifest.passage_prefix), self._room(self._manifest.query_prefix)) < 1:
            raise _unfit(folder, f"max_tokens {self._manifest.max_tokens} leaves no room for the text")
        try:
            vector = self.embed_passage("a")
        except ModelError as error:
            raise _unfit(folder, error.why) from error
        if vector.shape != (self.dimensions,):
            raise _unfit(
                folder, f"its vectors have shape {vector.shape}, the manifest says {self.dimensions} dimensions"
            )
        if not np.isfinite(vector).all():
            raise _unfit(folder, "its vectors hold values that are not finite")


def _one_thread() -> Any:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.enable_cpu_mem_arena = False  # the arena never frees memory
    options.log_severity_level = 3  # errors arrive as exceptions
    return options


def _load_session(path: Path) -> onnxruntime.InferenceSession:
    options = _one_thread()
    if _int8_products_saturate():
        # Slower but exact, so that vectors agree between machines. Where nothing saturates it would only cost time.
        options.add_session_config_entry("session.x64quantprecision", "1")
    try:
        return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    except _RUNTIME_ERRORS as error:
        raise ModelLoadFailed(
            f"embedding model {path}", str(error), "use an ONNX model that this version of ONNX Runtime can load"
        ) from error


@functools.cache
def _int8_products_saturate() -> bool:
    """Whether uint8 by int8 products overflow their 16-bit steps on this CPU, as on x86 without VNNI.

    Tested with a small product instead of read from the CPU's flags, since it depends on the kernel ONNX Runtime chose.
    """
    session = onnxruntime.InferenceSession(_MATMUL_INTEGER, _one_thread(), providers=["CPUExecutionProvider"])
    left, right = np.full((4, 64), 255, np.uint8), np.full((64, 32), 127, np.int8)
    (product,) = session.run(None, {"a": left, "b": right})
    return bool((product != 64 * 255 * 127).any())


def _load_tokenizer(path: Path) -> Tokenizer:
    try:
        tokenizer = Tokenizer.from_file(str(path))
    except Exception as error:  # the library raises Exception itself
        raise InvalidModelFile(f"tokenizer {path}", str(error), "use a Hugging Face tokenizer.json") from error
    tokenizer.no_truncation()
    tokenizer.no_padding()
    tokenizer.encode_special_tokens = True  # "[SEP]" in a document is text, not a control token
    return tokenizer


def _choose_output(manifest: EmbedderManifest, session: onnxruntime.InferenceSession) -> str:
    """The graph's output that the manifest names, or that its pooling needs. Raises InvalidModelFile."""
    outputs = {o.name: len(o.shape) for o in session.get_outputs()}
    dimensions = 2 if manifest.pooling == "none" else 3
    if manifest.output:
        fitting = [manifest.output] if outputs.get(manifest.output) == dimensions else []
    else:
        fitting = [name for name, count in outputs.items() if count == dimensions]
        fitting.sort(key=lambda name: name != "sentence_embedding")
    if not fitting:
        wanted = f"{manifest.output or 'output'} of {dimensions} dimensions"
        found = ", ".join(f"{name} ({count})" for name, count in outputs.items())
        why = f"the graph has no {wanted} as pooling {manifest.pooling!r} needs, only {found}"
        raise InvalidModelFile(f"embedding model {manifest.name}", why, "correct `output` or `pooling` in its manifest")
    return fitting[0]


def _unfit(folder: Path, why: str) -> InvalidModelFile:
    return InvalidModelFile(f"embedding model {folder}", why, "correct its manifest.json")
