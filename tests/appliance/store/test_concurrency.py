"""What readers see while the writer works."""

import threading

from appliance.store import Store
from tests.appliance.store.filling import add, fill, identity, key


def test_a_search_sees_one_revision_whole_and_never_two(store: Store) -> None:
    """While a document is replaced again and again, each search finds all chunks of one version and none of another."""
    document = add(store, b"a.pdf", [f"common version0 part{i}" for i in range(8)])
    stop = threading.Event()
    seen: set[str] = set()
    wrong: list[set[str]] = []

    def search() -> None:
        while not stop.is_set():
            with store.snapshot() as snapshot:
                found = snapshot.match("text : common", limit=100)
                versions = {row.text.split()[1] for row in snapshot.passages([number for number, _ in found])}
            seen.update(versions)
            if len(found) != 8 or len(versions) > 1:
                wrong.append(versions)

    threads = [threading.Thread(target=search) for _ in range(3)]
    for thread in threads:
        thread.start()
    for version in range(1, 12):
        store.queue.add_file(b"a.pdf", identity(version))
        sink = store.queue.open_revision(document, key(str(version)))
        fill(sink, [f"common version{version} part{i}" for i in range(8)])
        sink.complete()
    stop.set()
    for thread in threads:
        thread.join(30)
    assert wrong == []
    assert len(seen) > 1
    assert store.check() == []


def test_documents_read_in_parallel_do_not_mix(store: Store) -> None:
    def read(number: int) -> None:
        add(store, f"{number}.pdf".encode(), [f"owner{number} says {i}" for i in range(10)], number=number)

    threads = [threading.Thread(target=read, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    with store.snapshot() as snapshot:
        for number in range(6):
            found = snapshot.passages([chunk for chunk, _ in snapshot.match(f"text : owner{number}", limit=100)])
            assert len(found) == 10
            assert {row.path for row in found} == {f"{number}.pdf".encode()}
    assert store.counts()["indexed"] == 6
    assert store.check() == []
