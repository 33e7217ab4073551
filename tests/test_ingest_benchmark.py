"""The ingest benchmark ends whatever the service does with the files."""

import threading
from pathlib import Path

import apsw

from benchmarks.ingest import ingest
from tests.live import wait_until


def test_it_waits_for_files_that_are_done_before_it_sees_them_being_read(tmp_path: Path) -> None:
    (tmp_path / "library").mkdir()
    (tmp_path / "broken.pdf").write_bytes(b"not a PDF")
    connection = apsw.Connection(str(tmp_path / "docent.db"))
    for statement in ("CREATE TABLE documents (state TEXT)", "INSERT INTO documents VALUES ('indexed')"):
        connection.execute(statement).fetchall()

    def fail_it() -> None:
        wait_until(lambda: (tmp_path / "library" / "broken.pdf").exists(), "the file to come")
        connection.execute("INSERT INTO documents VALUES ('failed')").fetchall()

    service = threading.Thread(target=fail_it)
    service.start()
    assert ingest(tmp_path, [tmp_path / "broken.pdf"]) < 1
    service.join()
    assert (tmp_path / "library" / "broken.pdf").exists()
    connection.close()
