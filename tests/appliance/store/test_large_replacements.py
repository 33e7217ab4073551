"""A large replaced or withdrawn text stops answering in one short transaction; its rows follow in steps, over crashes."""

import subprocess
import sys
from collections.abc import Callable, Iterator
from functools import partial
from itertools import pairwise
from pathlib import Path
from threading import Event
from typing import Any, ParamSpec, TypeVar

import apsw
import pytest

from appliance.store import Snapshot, Store
from appliance.store.database.connection import open_reader, value
from appliance.store.revision_sink import prepare_switch
from appliance.store.rows import Trouble
from appliance.store.tables import documents, embedders, integrity, removal, revisions
from ingest.types import DocumentInfo
from tests.appliance.store.filling import batches, fill, identity, key
from tests.appliance.store.test_removal import LARGE, PLANTED, SMALL, add, embed, left, opened, traces
from tests.live import wait_until

P = ParamSpec("P")
R = TypeVar("R")

BIG = b"big/large.pdf"
NEW = ["the pump was replaced", "the seal is new"]
AGAIN = [f"the next {n} of pump {n * 3}" for n in range(len(LARGE))]

_WORKER = """
import sys
from pathlib import Path
from tests.appliance.store.test_large_replacements import replace_and_wait
replace_and_wait(Path(sys.argv[1]), int(sys.argv[2]))
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "docent.db"


@pytest.fixture
def held(path: Path) -> Iterator[Store]:
    with opened(path) as store:
        add(store, b"small.pdf", SMALL)
        add(store, BIG, LARGE)
        yield store
        assert store.check() == []


def document_of(store: Store) -> str:
    found = store.by_path(BIG)
    assert found
    return found.id


def begin_replacement(store: Store, texts: list[str]) -> int:
    """Read new content up to its last batch; returns the revision's number."""
    store.queue.add_file(BIG, identity(7))
    sink = store.queue.open_revision(document_of(store), key(texts[0]))
    fill(sink, texts, size=200, embed=embed)
    return sink._revision


def complete(store: Store, connection: apsw.Connection, revision: int) -> None:
    revisions.complete(connection, embedders.writing(connection), revision, {})
    documents.set_state(connection, documents.by_path(connection, BIG).number, "indexed")  # type: ignore[union-attr]


def replace_and_wait(path: Path, length: int) -> None:
    """Replace the large document and wait, printing a line for each step; the process that runs this is killed."""
    new = AGAIN[:length]
    store = opened(path)
    cleaner: Any = store._database._cleaner
    cleaner._sweep = printing("deleted", cleaner._sweep)
    revisions.prepare_some = printing("prepared", revisions.prepare_some)
    if store.get(document_of(store)).state != "indexed" or not is_replaced(store, new):
        begin_replacement(store, new)
        store.queue.open_revision(document_of(store), key(new[0])).complete()
    Event().wait()


def printing(what: str, step: Callable[P, R]) -> Callable[P, R]:
    """The step, and a line on standard output after it."""

    def printed(*arguments: P.args, **named: P.kwargs) -> R:
        result = step(*arguments, **named)
        print(what, flush=True)
        return result

    return printed


def is_replaced(store: Store, new: list[str]) -> bool:
    revision = store.revision(document_of(store))
    assert revision
    return revision.sha256 == key(new[0]).sha256


def assert_only_the_new_answers(connection: apsw.Connection, new: list[str]) -> None:
    snapshot = Snapshot(connection)
    assert snapshot.match(PLANTED.decode(), limit=50) == []
    found = snapshot.passages([number for number, _ in snapshot.match("pump OR seal", limit=50)])
    assert sorted(one.text for one in found) == sorted([SMALL[0], *new])
    near = [number for number, _ in snapshot.nearest(embed(LARGE[0]), k=50)]
    assert len(snapshot.passages(near)) == len(near) == len(SMALL) + len(new)
    assert documents.chunk_count(connection, None) == len(SMALL) + len(new)
    assert documents.known_files(connection).keys() == {b"small.pdf", BIG}
    assert sum(documents.counts(connection, None).values()) == 2
    assert list(integrity._rules(connection, embedders.serving(connection))) == []


def sweep_all(connection: apsw.Connection, each: Callable[[], None]) -> list[int]:
    """Run all steps in this transaction, calling `each` after each; returns the chunks that each deleted."""
    sweep = removal.Sweeper()
    counts = [value(connection, "SELECT count(*) FROM chunks")]
    each()
    while sweep(connection):
        each()
        counts.append(value(connection, "SELECT count(*) FROM chunks"))
    return [before - after for before, after in pairwise(counts)]


def test_after_the_switch_only_the_new_text_answers_and_the_old_rows_go_in_steps(held: Store) -> None:
    revision = begin_replacement(held, NEW)

    def job(connection: apsw.Connection) -> list[int]:
        complete(held, connection, revision)
        return sweep_all(connection, lambda: assert_only_the_new_answers(connection, NEW))

    steps = held._database.write(job)
    assert sum(steps) == len(LARGE)
    assert max(steps) <= 128
    assert not left(held)


@pytest.mark.parametrize("how", ["fails", "outdated", "everything"])
def test_a_failed_replacement_withdraws_a_large_old_text_in_steps_too(held: Store, how: str) -> None:
    document, number = document_of(held), held.get(document_of(held)).number
    if how == "outdated":
        begin_replacement(held, NEW)
    held._database._cleaner._sweep = lambda: False  # type: ignore[attr-defined]
    if how == "fails":
        held.queue.fail(document, "broken_pdf", "damaged")
    else:
        held.queue.postpone(
            document,
            Trouble("parser_killed", "it was killed"),
            attempts=3,
            next_attempt=None,
            withdrawn="outdated" if how == "outdated" else "everything",
        )

    def job(connection: apsw.Connection) -> list[int]:
        assert documents.get(connection, number).state == "failed"
        new = NEW if how == "outdated" else []
        return sweep_all(connection, lambda: assert_only_the_new_answers(connection, new))

    steps = held._database.write(job)
    assert (sum(steps), max(steps)) == (len(LARGE), 128)


def test_other_writes_get_in_between_the_steps(held: Store) -> None:
    begin_replacement(held, NEW)
    held.queue.open_revision(document_of(held), key(NEW[0])).complete()
    written = 0
    while left(held):
        held._database.write(lambda _: None)
        written += 1
    assert written > len(LARGE) // 128 // 2


@pytest.mark.parametrize("length", [2, len(AGAIN)], ids=["by a small text", "by a large text"])
def test_a_process_killed_between_the_steps_ends_like_an_undisturbed_one(
    path: Path, held: Store, tmp_path: Path, length: int
) -> None:
    held.close()
    for steps in (3, 10, 1):  # together fewer than the old text takes
        command = [sys.executable, "-c", _WORKER, path, str(length)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as worker:
            assert worker.stdout is not None
            assert [worker.stdout.readline() in ("prepared\n", "deleted\n") for _ in range(steps)] == [True] * steps
            worker.kill()
        reader = open_reader(path)
        assert value(reader, "SELECT count(*) > 2 FROM revisions")
        reader.close()
    with opened(path) as store, opened(tmp_path / "whole.db") as whole:
        if not is_replaced(store, AGAIN):
            store.queue.open_revision(document_of(store), key(AGAIN[0])).complete()
        add(whole, b"small.pdf", SMALL)
        add(whole, BIG, AGAIN[:length])
        wait_until(lambda: not left(store) and not traces(path), "the remains to go")
        assert store.digest() == whole.digest()
        assert store.check() == whole.check() == []


def test_a_large_new_text_is_in_the_full_text_before_the_switch_and_found_only_after_it(held: Store) -> None:
    begin_replacement(held, AGAIN)
    sink = held.queue.open_revision(document_of(held), key(AGAIN[0]))
    prepare_switch(held._database, held.get(document_of(held)).number)
    with held._database.read() as connection:
        assert value(connection, "SELECT count(*) FROM passages_docsize") == len(SMALL) + len(LARGE) + len(AGAIN)
    with held.snapshot() as snapshot:
        assert snapshot.match("next", limit=9) == []
        assert len(snapshot.match(PLANTED.decode(), limit=9999)) == len(LARGE)
    assert held.check() == []
    sink.complete()
    with held.snapshot() as snapshot:
        assert len(snapshot.match("next", limit=9999)) == len(AGAIN)
        assert snapshot.match(PLANTED.decode(), limit=9) == []


def test_a_document_renamed_before_the_switch_is_found_by_its_new_name(held: Store) -> None:
    begin_replacement(held, AGAIN)
    sink = held.queue.open_revision(document_of(held), key(AGAIN[0]))
    document = document_of(held)
    prepare_switch(held._database, held.get(document).number)
    held.rename(document, b"big/renamed.pdf")
    sink.complete()
    with held.snapshot() as snapshot:
        assert len(snapshot.match("name : renamed", limit=9999)) == len(AGAIN)
        assert snapshot.match("name : large", limit=9) == []


def test_a_useless_title_stays_away_when_a_reading_resumes_before_the_switch(held: Store) -> None:
    """The first batch may set no title though the metadata names one, such as the name of a temporary file."""
    useless = DocumentInfo(len(AGAIN), "Microsoft Word - contract.doc")
    held.queue.add_file(BIG, identity(7))
    sink = held.queue.open_revision(document_of(held), key(AGAIN[0]))
    sink.begin(useless)
    for batch in batches(AGAIN, "", 0, 200, embed):
        sink.commit(batch)
    held._database.write(lambda connection: revisions.prepare_some(connection, sink._revision, 0))
    resumed = held.queue.open_revision(document_of(held), key(AGAIN[0]))
    resumed.begin(useless)
    resumed.complete()
    assert not held.get(document_of(held)).title
    assert held.check() == []


def test_an_outdated_ticket_prepares_no_switch(held: Store) -> None:
    begin_replacement(held, AGAIN)
    outdated = held.get(document_of(held)).ticket
    held.queue.add_file(BIG, identity(8))
    before = rows_in_full_text(held)
    trouble = Trouble("parser_killed", "it was killed")
    held.queue.postpone(
        document_of(held), trouble, attempts=3, next_attempt=None, withdrawn="outdated", ticket=outdated
    )
    assert rows_in_full_text(held) == before


def rows_in_full_text(store: Store) -> int:
    with store._database.read() as connection:
        return int(value(connection, "SELECT count(*) FROM passages_docsize"))


def test_a_second_replacement_and_a_removal_before_the_steps_are_done(held: Store) -> None:
    number = held.get(document_of(held)).number
    again = [f"{text} again" for text in LARGE]
    for texts in (again, NEW):
        revision = begin_replacement(held, texts)
        held._database.write(partial(complete, held, revision=revision))

    def job(connection: apsw.Connection) -> None:
        held._remove(connection, number)
        assert documents.known_files(connection).keys() == {b"small.pdf"}
        sweep_all(connection, lambda: None)
        assert value(connection, "SELECT count(*) FROM documents") == 1
        assert value(connection, "SELECT count(*) FROM chunks") == len(SMALL)

    held._database.write(job)


def test_a_document_that_replaced_a_large_one_can_be_removed_while_that_is_left(held: Store) -> None:
    number = held.get(document_of(held)).number
    revision = begin_replacement(held, NEW)

    def job(connection: apsw.Connection) -> None:
        complete(held, connection, revision)
        held._remove(connection, number)
        sweep_all(connection, lambda: None)
        assert value(connection, "SELECT count(*) FROM documents") == 1

    held._database.write(job)


def test_a_replaced_text_is_no_twin_to_copy_from(held: Store) -> None:
    revision = begin_replacement(held, NEW)
    held.queue.add_file(b"copy.pdf", identity(9))
    copy = held.by_path(b"copy.pdf")
    assert copy
    sink = held.queue.open_revision(copy.id, key(LARGE[0]))

    def job(connection: apsw.Connection) -> object:
        complete(held, connection, revision)
        return revisions.progress(connection, sink._revision)

    held._database.write(job)
    assert sink.copy_some() is None


def test_texts_that_the_new_content_has_too_keep_their_vectors(held: Store) -> None:
    begin_replacement(held, [*NEW, *LARGE[:5]])
    held.queue.open_revision(document_of(held), key(NEW[0])).complete()
    wait_until(lambda: not left(held), "the remains to go")
    with held._database.read() as connection:
        assert value(connection, "SELECT count(*) FROM vectors") == len({*SMALL, *NEW, *LARGE[:5]})
