"""Reads `manifest.json` in an embedding model's folder into a frozen dataclass.

Rule: the manifest holds everything that changes a vector, so another ONNX model works with its manifest alone. The
fields:

    format          1
    name            id of the model, [A-Za-z0-9._-]+
    model           file name of the ONNX graph; its inputs are `input_ids`, and optionally `attention_mask` and
                    `token_type_ids`
    weights         file names of the graph's external data; default none
    tokenizer       file name of a Hugging Face `tokenizer.json`
    output          name of the graph's output to use; default `sentence_embedding` with pooling "none", else the first
                    output of three dimensions
    pooling         "mean" over all tokens, "cls" (the first token), or "none" (the output is already one vector)
    normalise       whether vectors are scaled to length 1
    query_prefix    put before every question; default none
    passage_prefix  put before every passage; default none
    dimensions      length of a vector
    max_tokens      longest input the model takes, prefix and special tokens included
    sha256          file name -> hex digest, for `model`, `tokenizer` and each of `weights` at least
    language, licence, quantisation, provenance: for people; they do not change a vector

A key that is not listed is refused, because a misspelt one would otherwise be silently ignored.
"""

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import MISSING, dataclass, field, fields
from pathlib import Path
from typing import Any

from models.errors import InvalidModelFile

MANIFEST = "manifest.json"
POOLINGS = ("mean", "cls", "none")
# Increase it whenever a change of the code changes the vector of a text; part of every identity.
EMBEDDING_VERSION = 1

_NAME = re.compile(r"[A-Za-z0-9._-]+")
_HINT = "models/embedding/manifest.py lists the keys; models/builtin/all-MiniLM-L6-v2/manifest.json is an example"


@dataclass(frozen=True)
class EmbedderManifest:
    """One embedding model in one folder. The module's docstring describes the fields."""

    format: int
    name: str
    model: str
    tokenizer: str
    pooling: str
    normalise: bool
    dimensions: int
    max_tokens: int
    sha256: Mapping[str, str]
    weights: tuple[str, ...] = ()
    output: str = ""
    query_prefix: str = ""
    passage_prefix: str = ""
    language: str = ""
    licence: str = ""
    quantisation: str = ""
    provenance: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def load(cls, folder: Path) -> "EmbedderManifest":
        """Read and check `manifest.json` in `folder`; `verify` checks the files it names. Raises InvalidModelFile."""
        path = folder / MANIFEST
        try:
            values = json.loads(path.read_text(encoding="utf-8"))
        except FileNotFoundError as error:
            raise _invalid(folder, f"it has no {MANIFEST}", _HINT) from error
        except (OSError, ValueError) as error:
            raise _invalid(path, str(error), _HINT) from error
        if not isinstance(values, dict):
            raise _invalid(path, "it is not a JSON object", _HINT)
        problem = _problem(values)
        if problem:
            raise _invalid(path, problem, _HINT)
        return cls(**{**values, "weights": tuple(values.get("weights", ()))})

    @property
    def files(self) -> tuple[str, ...]:
        """Names of the files that the vectors depend on."""
        return (self.model, self.tokenizer, *self.weights)

    @property
    def identity(self) -> str:
        """Hex digest of everything that determines a vector. Vectors of different identities must never be compared."""
        parts = [
            EMBEDDING_VERSION,
            [self.sha256[name] for name in self.files],
            self.output,
            self.pooling,
            self.normalise,
            self.query_prefix,
            self.passage_prefix,
            self.max_tokens,
        ]
        return hashlib.sha256(json.dumps(parts).encode()).hexdigest()

    def verify(self, folder: Path) -> None:
        """Hash every file that has a sha256 in the manifest. Raises InvalidModelFile for one that differs."""
        for name, expected in self.sha256.items():
            path = folder / name
            try:
                with path.open("rb") as file:
                    found = hashlib.file_digest(file, "sha256").hexdigest()
            except OSError as error:
                raise _invalid(path, error.strerror or str(error), "copy the model's folder again") from error
            if found != expected:
                why = f"its sha256 is {found}, but the manifest says {expected}"
                raise _invalid(path, why, "the file is damaged or was changed: copy the model's folder again")


def _problem(values: dict[str, Any]) -> str:
    """The first fault in a manifest's content; empty if there is none."""
    known = {f.name: f for f in fields(EmbedderManifest)}
    required = {n for n, f in known.items() if f.default is MISSING and f.default_factory is MISSING}
    if unknown := sorted(values.keys() - known.keys()):
        return f"unknown key {unknown[0]!r}"
    if missing := sorted(required - values.keys()):
        return f"key {missing[0]!r} is missing"
    if values["format"] != 1:
        return f"format {values['format']!r} is not 1, the only one this version reads"
    return _type_problem(values) or _value_problem(values)


def _type_problem(values: dict[str, Any]) -> str:
    for name, value in values.items():
        if name in ("format", "dimensions", "max_tokens"):
            good, wanted = (
                isinstance(value, int) and not isinstance(value, bool) and value > 0,
                "a whole number above 0",
            )
        elif name == "normalise":
            good, wanted = isinstance(value, bool), "true or false"
        elif name == "weights":
            good, wanted = isinstance(value, list) and all(isinstance(v, str) for v in value), "a list of file names"
        elif name in ("sha256", "provenance"):
            good, wanted = isinstance(value, dict), "an object"
        else:
            good, wanted = isinstance(value, str), "text"
        if not good:
            return f"{name} is {value!r}, not {wanted}"
    return ""


def _value_problem(values: dict[str, Any]) -> str:
    if not _NAME.fullmatch(values["name"]):
        return f"name {values['name']!r} has characters other than A-Z a-z 0-9 . _ -"
    if values["pooling"] not in POOLINGS:
        return f"pooling {values['pooling']!r} is not one of {', '.join(POOLINGS)}"
    digests = values["sha256"]
    for name in (values["model"], values["tokenizer"], *values.get("weights", []), *digests):
        # The manifest is untrusted: it may name files of its own folder only.
        if name in ("", ".", "..") or Path(name).name != name:
            return f"{name!r} is not the name of a file in the model's folder"
        if not re.fullmatch(r"[0-9a-f]{64}", str(digests.get(name, ""))):
            return f"sha256 of {name!r} is missing or not 64 lower-case hex digits"
    return ""


def _invalid(path: Path, why: str, hint: str) -> InvalidModelFile:
    return InvalidModelFile(f"embedding model {path}", why, hint)
