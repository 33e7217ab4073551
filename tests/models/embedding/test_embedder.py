"""The built-in model through the Embedder: purity, order, limits."""

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from models.embedding.embedder import BUILTIN, Embedder

TEXTS = [f"Section {i}: the pump must be drained before the seal is replaced. " * (1 + i % 7) for i in range(24)]


@pytest.fixture(scope="module")
def embedder() -> Iterator[Embedder]:
    with Embedder.open(BUILTIN, threads=2) as opened:
        yield opened


def test_a_vector_is_normalised_float32_of_the_stated_dimensions(embedder: Embedder) -> None:
    vector = embedder.embed_passage("Wash hands before opening the case.")
    assert vector.dtype == np.float32
    assert vector.shape == (embedder.dimensions,) == (384,)
    assert np.linalg.norm(vector) == pytest.approx(1, abs=1e-5)


def test_a_vector_does_not_depend_on_what_else_is_embedded(embedder: Embedder) -> None:
    """Bit for bit: alone, among others in order, in reverse, and while other threads embed other texts."""
    alone = [embedder.embed_passage(text).tobytes() for text in TEXTS]
    assert [v.tobytes() for v in embedder.embed_passages(TEXTS)] == alone
    assert [v.tobytes() for v in embedder.embed_passages(reversed(TEXTS))] == alone[::-1]
    with ThreadPoolExecutor(4) as pool:
        assert [v.tobytes() for v in pool.map(embedder.embed_passage, TEXTS)] == alone


def test_a_vector_does_not_depend_on_the_number_of_threads(embedder: Embedder) -> None:
    with Embedder.open(BUILTIN, threads=1) as other:
        assert other.identity == embedder.identity
        for text in TEXTS[:8]:
            assert other.embed_passage(text).tobytes() == embedder.embed_passage(text).tobytes()


def test_a_question_is_nearest_to_the_passage_that_answers_it(embedder: Embedder) -> None:
    passages = [
        "Turn the lid counter-clockwise, lift out the filter and rinse it.",
        "Net revenue rose by four percent over the same quarter.",
        "The aircraft landed short of the runway in heavy rain.",
    ]
    question = embedder.embed_query("How is the filter cleaned?")
    scores = [float(question @ vector) for vector in embedder.embed_passages(passages)]
    assert max(scores) == scores[0]


def test_texts_are_taken_a_few_ahead_and_never_all(embedder: Embedder) -> None:
    taken = 0

    def endless() -> Iterator[str]:
        nonlocal taken
        while True:
            taken += 1
            yield f"passage {taken}"

    vectors = embedder.embed_passages(endless())
    for _ in range(3):
        next(vectors)
    assert taken <= 3 + 2 * 4
    vectors.close()


def test_an_error_while_reading_the_texts_reaches_the_caller(embedder: Embedder) -> None:
    def broken() -> Iterator[str]:
        yield "first"
        raise OSError("page 2 is gone")

    with pytest.raises(OSError, match="page 2 is gone"):
        list(embedder.embed_passages(broken()))
    assert len(list(embedder.embed_passages(["still", "works"]))) == 2


def test_token_counts_and_offsets_cover_a_text_however_long(embedder: Embedder) -> None:
    text = "Ärger, naïve café 数字 😀 end " * 400
    offsets = embedder.token_offsets(text)
    assert len(offsets) == embedder.count_tokens(text) > 2_000
    assert text[offsets[-1][0] : offsets[-1][1]] == "end"
    assert all(a < b <= len(text) for a, b in offsets)
    assert [a for a, _ in offsets] == sorted(a for a, _ in offsets)


def test_a_text_of_max_tokens_is_embedded_whole_and_a_longer_one_loses_its_tail(embedder: Embedder) -> None:
    longest = "pump " * embedder.max_tokens
    assert embedder.count_tokens(longest) == embedder.max_tokens == 254
    whole = embedder.embed_passage(longest)
    assert not np.array_equal(whole, embedder.embed_passage("pump " * (embedder.max_tokens - 1) + "seal"))
    assert np.array_equal(whole, embedder.embed_passage(longest + "seal " * 20_000))
    assert np.array_equal(whole, embedder.embed_query(longest + "seal"))


@pytest.mark.parametrize("text", ["", " ", "\ud800", "\x00\x1b[31m", "[CLS] [SEP] [PAD] [MASK]", "\u202e" * 50])
def test_odd_text_gives_a_finite_vector_and_true_offsets(embedder: Embedder, text: str) -> None:
    assert np.isfinite(embedder.embed_query(text)).all()
    assert all(0 <= a <= b <= len(text) for a, b in embedder.token_offsets(text))


def test_a_special_token_in_a_document_is_plain_text(embedder: Embedder) -> None:
    assert embedder.count_tokens("[SEP]") > 1


def test_a_closed_embedder_raises_and_closing_twice_is_harmless() -> None:
    embedder = Embedder.open(BUILTIN, threads=1)
    embedder.close()
    embedder.close()
    with pytest.raises(RuntimeError, match="all-MiniLM-L6-v2 is closed"):
        embedder.embed_query("anything")
    with pytest.raises(RuntimeError):
        list(embedder.embed_passages(["anything"]))


def test_closing_leaves_no_thread_behind() -> None:
    with Embedder.open(BUILTIN, threads=2) as embedder:
        list(embedder.embed_passages(TEXTS[:4]))
        assert any(t.name.startswith("embed") for t in threading.enumerate())
        mine = list(embedder._pool._threads)
    assert not any(thread.is_alive() for thread in mine)
