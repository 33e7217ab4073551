"""A model's child never outlives its service, and ends at an invalid message."""

import socket
import struct
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil

from models.catalog.catalog import Catalog
from models.child_process.messages import MAX_FRAME
from tests.gguf_builder import Shape, write_model

ROOT = Path(__file__).resolve().parents[3]

SERVICE = """
import asyncio, sys
from pathlib import Path
from models.adapters.catalog import AdapterCatalog
from models.catalog.catalog import Catalog
from models.residency.manager import Manager, ModelDefaults
from models.types import GenerationRequest

async def main():
    home = Path(sys.argv[1])
    settings = ModelDefaults(context=4096, threads=1)
    async with Manager(Catalog(home / "models"), AdapterCatalog(home / "adapters"), budget_bytes=1 << 30,
                       defaults=settings) as manager:
        async with manager.lease("m") as lease:
            generation = lease.generate(GenerationRequest(prompt="the pump " * 1500))
            print(manager.state("m").pid, flush=True)
            await asyncio.sleep(1000)

asyncio.run(main())
"""


def soon(condition: Callable[[], bool], seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.01)
    return condition()


def running(pid: int) -> bool:
    try:
        return bool(psutil.Process(pid).status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


def test_the_children_of_a_killed_service_end_within_two_seconds(tmp_path: Path) -> None:
    Catalog(tmp_path / "models").import_gguf(write_model(tmp_path / "m.gguf", shape=Shape(context=4096, layers=6)))
    command = [sys.executable, "-c", SERVICE, str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, cwd=ROOT, text=True) as service:
        assert service.stdout is not None
        pid = int(service.stdout.readline())
        child = psutil.Process(pid)
        assert child.cmdline()[1:5] == ["-s", "-P", "-m", "models.worker.main"]
        assert int(Path(f"/proc/{pid}/oom_score_adj").read_text()) >= 800
        # standard streams, the socket, and what python and llama.cpp open for themselves
        assert child.num_fds() <= 8
        assert "HOME" not in child.environ()
        service.kill()
        assert soon(lambda: not running(pid), 2.0)


def run_worker(send: bytes) -> tuple[int, str]:
    """Sends a worker these bytes and nothing more. Returns its exit status and standard error."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        worker = subprocess.Popen(
            [sys.executable, "-m", "models.worker.main", str(theirs.fileno()), str(psutil.Process().pid)],
            pass_fds=(theirs.fileno(),),
            stderr=subprocess.PIPE,
            cwd=ROOT,
            text=True,
        )
        theirs.close()
        ours.sendall(send)
        ours.shutdown(socket.SHUT_WR)
        _, errors = worker.communicate(timeout=30)
        return worker.returncode, errors


def test_a_worker_ends_when_its_socket_closes() -> None:
    assert run_worker(b"") == (0, "")


def test_a_worker_ends_at_an_invalid_message() -> None:
    for nonsense in (struct.pack(">I", 2) + b"{}", struct.pack(">I", MAX_FRAME + 1)):
        status, errors = run_worker(nonsense)
        assert status == 1
        assert "invalid message" in errors


def test_a_worker_whose_parent_is_not_the_service_ends_at_once() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        command = [sys.executable, "-m", "models.worker.main", str(theirs.fileno()), "1"]
        worker = subprocess.run(command, pass_fds=(theirs.fileno(),), cwd=ROOT, timeout=30, check=False)
    assert worker.returncode == 0
