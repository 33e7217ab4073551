"""Start, stop and kill of the service as a process."""

import os
import random
import shutil
import socket
import subprocess
import time
from pathlib import Path

import apsw
import psutil
import pytest

from appliance import wire
from appliance.store import EmbedderKey, Store
from models.embedding.embedder import BUILTIN, Embedder
from tests.conftest import SAMPLES
from tests.live import short_home, wait_until
from tests.process import serve_command, served

pytestmark = pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning")
"""httpcore2 does not close the socket of a refused connection."""


def fill(library: Path, copies: int = 1) -> None:
    library.mkdir(exist_ok=True, parents=True)
    for sample in SAMPLES.glob("*.pdf"):
        for number in range(copies):
            # a comment after the end makes the content of each copy unique
            (library / f"{number}-{sample.name}").write_bytes(sample.read_bytes() + f"\n% copy {number}\n".encode())


def all_done(status: wire.Status, files: int) -> bool:
    return status.queue == 0 and status.documents.indexed == files


def digest(home: Path) -> str:
    with Embedder.open(BUILTIN, threads=1) as embedder:
        key = EmbedderKey(embedder.identity, embedder.name, embedder.dimensions)
        with Store.open(home / "docent.db", embedder=key, embed_name=embedder.embed_passage) as store:
            assert store.check() == []
            return store.digest()


def test_sigterm_stops_the_service_cleanly_within_seconds_even_during_work() -> None:
    with short_home() as folder:
        home = Path(folder)
        with served(home) as service:
            fill(service.library, copies=3)
            wait_until(lambda: service.client.status().documents.indexing, "work to begin")
            began = time.monotonic()
            assert service.terminate() == 0
            assert time.monotonic() - began < 10
        assert not (home / "docent.sock").exists()


def test_a_service_killed_during_ingest_ends_with_the_same_content_bit_for_bit() -> None:
    with short_home() as undisturbed, short_home() as disturbed:
        fill(Path(undisturbed) / "library")
        fill(Path(disturbed) / "library")
        with served(Path(undisturbed)) as service:
            wait_until(lambda: all_done(service.client.status(), 4), "the undisturbed run")
            service.terminate()
        chance = random.Random(20)
        for _ in range(3):
            with served(Path(disturbed), DOCENT_INGEST_BATCH_CHUNKS="4") as service:
                aim = chance.randrange(1, 60)
                wait_until(lambda: service.client.status().chunks >= aim, "some progress", 90)  # noqa: B023
                service.kill()
        with served(Path(disturbed)) as service:
            wait_until(lambda: all_done(service.client.status(), 4), "the rest")
            service.terminate()
        assert digest(Path(disturbed)) == digest(Path(undisturbed))


def runs(process: psutil.Process) -> bool:
    """Whether the process is alive; a zombie is not."""
    try:
        return bool(process.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


def test_no_child_outlives_a_killed_service() -> None:
    with short_home() as folder, served(Path(folder)) as service:
        fill(service.library, copies=3)
        children = wait_until(service.children, "a parser's process")
        service.kill()
        wait_until(lambda: not any(runs(child) for child in children), "the children to end", 2.0)


def test_a_second_service_on_the_same_home_is_refused_and_harms_nothing() -> None:
    with short_home() as folder, served(Path(folder)) as service:
        second = serve_command(Path(folder))
        output, _ = second.communicate(timeout=30)
        assert second.returncode == 5
        assert "another Docent service" in output
        assert service.client.ready()


def test_a_home_whose_socket_path_is_too_long_is_refused_with_the_limit() -> None:
    with short_home() as folder:
        home = Path(folder) / ("deep" * 30)
        home.mkdir()
        process = serve_command(home)
        output, _ = process.communicate(timeout=30)
        assert process.returncode == 2
        assert "107" in output


def test_a_file_at_the_sockets_path_that_is_no_socket_is_left_alone() -> None:
    with short_home() as folder:
        (Path(folder) / "docent.sock").write_text("notes")
        process = serve_command(Path(folder))
        output, _ = process.communicate(timeout=30)
        assert process.returncode == 2
        assert "not a socket" in output
        assert (Path(folder) / "docent.sock").read_text() == "notes"


def test_a_stale_socket_of_a_killed_service_is_replaced() -> None:
    with short_home() as folder:
        with socket.socket(socket.AF_UNIX) as stale:
            stale.bind(str(Path(folder) / "docent.sock"))
        with served(Path(folder)) as service:
            assert service.client.status().ready


def test_a_database_of_another_program_is_refused_and_left_alone() -> None:
    with short_home() as folder:
        path = Path(folder) / "docent.db"
        connection = apsw.Connection(str(path))
        connection.execute("CREATE TABLE mine (x)").fetchall()
        connection.close()
        before = path.read_bytes()
        process = serve_command(Path(folder))
        output, _ = process.communicate(timeout=30)
        assert process.returncode == 1
        assert "docent.db" in output
        assert path.read_bytes() == before


@pytest.mark.root
@pytest.mark.skipif(os.geteuid() != 0 or not shutil.which("mkfs.ext4"), reason="needs root to mount a small disk")
def test_a_full_disk_at_the_start_is_reported(tmp_path: Path) -> None:
    image, mount = tmp_path / "disk", tmp_path / "mnt"
    mount.mkdir()
    with image.open("wb") as file:
        file.truncate(4 << 20)
    subprocess.run(["mkfs.ext4", "-q", image], check=True)
    if subprocess.run(["mount", "-o", "loop", image, mount], check=False, capture_output=True).returncode:
        pytest.skip("loop mounts are not allowed here")
    try:
        with (mount / "filler").open("wb") as filler:
            try:
                while filler.write(b"\0" * 65536):
                    filler.flush()
            except OSError:
                pass
        process = serve_command(mount)
        output, _ = process.communicate(timeout=30)
        assert process.returncode == 1
        assert "space" in output or "full" in output
    finally:
        subprocess.run(["umount", mount], check=True)
