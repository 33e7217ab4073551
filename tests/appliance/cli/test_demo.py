"""The demonstration for real: a service, the sample documents, cited answers, and nothing left behind."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from appliance.cli.temporary_service import Interrupts

ROOT = Path(__file__).parents[3]


def demo(folder: Path, *arguments: str) -> "subprocess.Popen[str]":
    """`docent demo` with `folder` for its temporary files and as the user's home."""
    environment = {**os.environ, "TMPDIR": str(folder), "HOME": str(folder)}
    environment.pop("ORT_DISABLE_TELEMETRY", None)
    return subprocess.Popen(
        [sys.executable, "-m", "appliance", "demo", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        env=environment,
    )


def services_below(folder: Path) -> list[str]:
    """Processes whose `DOCENT_HOME` lies in `folder`."""
    wanted = f"DOCENT_HOME={folder}".encode()
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if wanted in (process / "environ").read_bytes():
                found.append(process.name)
        except OSError:
            continue
    return found


@pytest.fixture
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("demo")


def test_the_demo_answers_three_questions_from_the_right_pages_and_leaves_nothing_behind(folder: Path) -> None:
    """Not one file: libraries that report on their use would leave an id in the temporary folder or the home."""
    process = demo(folder, "--json")
    out, err = process.communicate(timeout=110)
    assert process.returncode == 0, err
    shown = json.loads(out)
    expected = json.loads((ROOT / "appliance/samples/questions.json").read_text(encoding="utf-8"))
    for answer, known in zip(shown["answers"], expected, strict=False):
        pages = {(citation["document"], citation["page"]) for citation in answer["citations"]}
        assert (known["document"], known["page"]) in pages, answer["question"]
    assert {document["state"] for document in shown["documents"]} == {"indexed"}
    assert list(folder.iterdir()) == []
    assert services_below(folder) == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_demo_leaves_nothing_behind(folder: Path, number: signal.Signals) -> None:
    process = demo(folder)
    deadline = time.monotonic() + 60
    while not services_below(folder):
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.05)
    process.send_signal(number)
    _, err = process.communicate(timeout=60)
    # CPython ends itself by SIGINT where the interrupt came in the middle of an exec(); a shell shows 130 for both
    assert process.returncode in (130, -signal.SIGINT), err
    assert "Traceback" not in err
    assert list(folder.iterdir()) == []
    assert services_below(folder) == []


def test_an_interrupt_that_is_swallowed_comes_again() -> None:
    with Interrupts():
        with contextlib.suppress(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
        with pytest.raises(KeyboardInterrupt):
            signal.pause()
