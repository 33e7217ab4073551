"""Commands run in the test's process, against a fake service on a real socket."""

import json
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from appliance.cli.app import main
from tests.fake_service import FakeService, serving


@dataclass(frozen=True, slots=True)
class Result:
    """Exit code, stdout and stderr of a command."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """Its stdout, which must be one JSON document."""
        return json.loads(self.out)


Run = Callable[..., Result]


@pytest.fixture
def home(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """`DOCENT_HOME`, with a path short enough for a socket."""
    for name in ("DOCENT_SOCKET", "DOCENT_CONFIG", "STATE_DIRECTORY", "RUNTIME_DIRECTORY"):
        monkeypatch.delenv(name, raising=False)
    with tempfile.TemporaryDirectory(prefix="docent-", dir="/tmp") as folder:
        monkeypatch.setenv("DOCENT_HOME", folder)
        yield Path(folder)


@pytest.fixture
def run(home: Path, capsys: pytest.CaptureFixture[str]) -> Run:
    """Run a command line."""

    def run_command(*arguments: str) -> Result:
        code = main(arguments)
        captured = capsys.readouterr()
        return Result(code, captured.out, captured.err)

    return run_command


@pytest.fixture
def service(home: Path) -> Iterator[FakeService]:
    """The service of `home`."""
    fake = FakeService()
    with serving(fake, home / "docent.sock"):
        yield fake


def pytest_itemcollected(item: pytest.Item) -> None:
    """The HTTP library leaks its socket if it cannot connect (httpcore2, `connect_unix_socket`)."""
    item.add_marker(
        pytest.mark.filterwarnings(
            "ignore:Exception ignored in. <socket.socket:pytest.PytestUnraisableExceptionWarning"
        )
    )
