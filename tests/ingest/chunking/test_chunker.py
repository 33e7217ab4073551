"""Chunks hold whole sentences and rows under a heading path, fit the embedder, and map back to the pages."""

import itertools
from collections.abc import Iterator
from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from ingest.chunking.chunker import BODY_LOOK_AHEAD, ChunkLimits, chunk_pages, embedded_text
from ingest.layout.running_lines import LOOK_AHEAD
from ingest.types import Chunk, Page
from tests.ingest.fakes import token_offsets
from tests.ingest.page_builder import L, page, prose, table

SMALL = ChunkLimits(target_tokens=30, max_tokens=60)


def chunks(*pages: Page, limits: ChunkLimits = SMALL) -> list[Chunk]:
    return list(chunk_pages(pages, token_offsets, limits))


def sentences(count: int, start: int = 0, y: float = 100) -> list[L]:
    return prose(*(f"Sentence {n} is about pump {n} here." for n in range(start, start + count)), y=y)


def test_every_word_of_a_chunk_is_a_word_of_its_page() -> None:
    pages = {n: page(n, sentences(12, n * 100)) for n in (1, 2, 3)}
    for chunk in chunks(*pages.values()):
        assert chunk.text == " ".join(chunk.text.split(" "))
        for word in chunk.words:
            assert chunk.text[word.start : word.end] == pages[word.page].text[word.source_start : word.source_end]
            assert chunk.page <= word.page <= chunk.page_last
        assert " ".join(chunk.text[w.start : w.end] for w in chunk.words).split() == chunk.text.split()


def test_no_word_is_lost_or_doubled() -> None:
    pages = [page(n, sentences(15, n * 100)) for n in (1, 2, 3)]
    words = [word for chunk in chunks(*pages) for word in chunk.text.split()]
    assert words == [word for p in pages for word in p.text.split()]


def test_chunks_end_where_sentences_end_and_stay_within_the_target() -> None:
    for chunk in chunks(page(1, sentences(30))):
        assert chunk.text.endswith(".")
        assert len(token_offsets(chunk.text)) <= SMALL.target_tokens


def test_a_sentence_longer_than_the_limit_is_cut_at_a_clause() -> None:
    lines = prose(*["with many clauses, one after the other, without an end"] * 12)
    for chunk in chunks(page(1, lines))[:-1]:
        assert chunk.text.endswith(",")
        assert len(token_offsets(embedded_text(chunk))) <= SMALL.max_tokens


def test_a_sentence_continues_on_the_next_page() -> None:
    first = page(1, [*prose("The valve must be closed before the", y=680), L("Pump Manual 1", y=750)])
    second = page(2, [*prose("pump is started. It is red.", y=60), L("Pump Manual 2", y=750)])
    (chunk,) = chunks(first, second)
    assert chunk.text == "The valve must be closed before the pump is started. It is red."
    assert (chunk.page, chunk.page_last) == (1, 2)


def test_a_hyphenated_word_keeps_both_of_its_places() -> None:
    (chunk,) = chunks(page(1, prose("The maintenan-", "ce plan.")))
    assert chunk.text == "The maintenance plan."
    first, second = chunk.words[1:3]
    assert (first.end, first.source_end - first.source_start) == (second.start, len("maintenan-"))
    assert chunk.text[first.start : second.end] == "maintenance"


def test_headings_form_the_path_and_begin_a_chunk() -> None:
    lines = [
        L("The Manual", size=24, y=20),
        L("1 Safety", size=16, y=60),
        *sentences(6, y=80),
        L("2 Use", size=16, y=300),
        *sentences(6, 50, y=320),
    ]
    found = chunks(page(1, lines))
    assert found[0].text.startswith("The Manual\n1 Safety\nSentence 0")
    assert [chunk.heading for chunk in found if "Sentence 5 " in chunk.text] == [("1 Safety",)]
    (begins,) = [chunk for chunk in found if "2 Use" in chunk.text]
    assert begins.text.startswith("2 Use\n")
    assert begins.heading == ("2 Use",)


def test_a_heading_is_never_left_at_the_end_of_a_chunk() -> None:
    lines = []
    for n in range(8):
        lines += [L(f"Part {n} of it", size=14, y=20 + 90 * n, bold=True), *sentences(3 + n % 3, n * 10, y=40 + 90 * n)]
    for chunk in chunks(page(1, lines)):
        assert not chunk.text.splitlines()[-1].startswith("Part")


def test_table_rows_are_lines_and_are_never_cut() -> None:
    rows = [(f"Item number {n}", f"{n},000", f"{n},500") for n in range(20)]
    for chunk in chunks(page(1, table(("Name", "Sep 2022", "Sep 2021"), *rows))):
        for line in chunk.text.splitlines():
            assert line.count("  ") == 2


def test_a_chunk_from_the_middle_of_a_table_carries_the_columns_headings() -> None:
    rows = [(f"Item number {n}", f"{n},000", f"{n},500") for n in range(20)]
    first, second, *_ = chunks(page(1, table(("Name", "Sep 2022", "Sep 2021"), *rows)))
    assert first.heading == ()
    assert second.heading == ("Name, Sep 2022, Sep 2021",)
    assert embedded_text(second).startswith("Name, Sep 2022, Sep 2021\nItem")


def test_the_embedded_text_is_path_and_text_without_repeating_the_heading() -> None:
    chunk = Chunk(0, 1, 1, ("Part I", "Pumps"), "Pumps\nThey pump.", ())
    assert embedded_text(chunk) == "Part I\nPumps They pump."
    assert embedded_text(replace(chunk, text="They pump.")) == "Part I > Pumps\nThey pump."
    assert embedded_text(replace(chunk, heading=(), text="They pump.")) == "They pump."


def test_the_embedded_text_always_fits_the_model() -> None:
    lines = [L("A very long heading that goes on and on about the pump", size=14 + n, y=10 * n) for n in range(5)]
    found = chunks(page(1, [*lines, *sentences(40, y=200)]))
    assert max(len(token_offsets(embedded_text(chunk))) for chunk in found) <= SMALL.max_tokens


def test_no_more_pages_are_held_than_the_look_ahead_needs() -> None:
    taken = 0

    def endless() -> Iterator[Page]:
        nonlocal taken
        for number in itertools.count(1):
            taken += 1
            yield page(number, sentences(12, number * 100))

    for chunk in itertools.islice(chunk_pages(endless(), token_offsets, SMALL), 200):
        assert taken - chunk.page_last <= LOOK_AHEAD + BODY_LOOK_AHEAD + 2


def test_pages_without_text_give_no_chunks() -> None:
    assert chunks(page(1, []), page(2, [])) == []


words = (
    st.text(st.characters(codec="utf-8"), min_size=1, max_size=12).map(lambda text: "".join(text.split())).filter(bool)
)
lines = st.builds(
    L,
    st.lists(words, min_size=1, max_size=12).map(" ".join),
    st.sampled_from([50.0, 52.0, 300.0, 400.0]),
    st.integers(0, 60).map(lambda row: row * 12.0),
    st.sampled_from([6.0, 10.0, 10.0, 10.0, 14.0]),
    st.booleans(),
    st.integers(0, 3),
)


@settings(max_examples=30, deadline=None)
@given(st.lists(st.lists(lines, max_size=25), max_size=4))
def test_any_page_gives_the_same_chunks_again_each_mapped_and_within_the_limit(content: list[list[L]]) -> None:
    pages = {number: page(number, lines) for number, lines in enumerate(content, 1)}
    found = chunks(*pages.values())
    assert found == chunks(*pages.values())
    for ordinal, chunk in enumerate(found):
        assert chunk.ordinal == ordinal
        assert chunk.words
        position = 0
        for word in chunk.words:
            assert not chunk.text[position : word.start].strip()
            assert word.start < word.end
            position = word.end
            assert 0 <= word.source_start < word.source_end <= len(pages[word.page].text)
        assert position == len(chunk.text)
