"""`docent demo`: the whole of Docent on a temporary home, without systemd and without touching anything of the user's.

It starts a real service, drops the sample PDFs into its library folder, and asks three questions. Whatever happens,
Ctrl-C included, the service is stopped and the home removed (unless `--keep`).
"""

import json as json_library
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from types import FrameType
from typing import Annotated, Any

import typer

from appliance.cli.ask import print_answer
from appliance.cli.options import JsonOption, command_group, examples
from appliance.cli.output import console, is_terminal, print_json, print_text
from appliance.client import Client
from appliance.config import Places, find_places
from appliance.errors import DocentError
from appliance.wire import Answer, AskRequest, Document

app = command_group()

QUESTIONS = 3
_MAX_SOCKET_BYTES = 107
_START_SECONDS = 60.0
_INDEX_SECONDS = 300.0
_STOP_SECONDS = 15.0
_LOG_LINES = 30


@app.command(epilog=examples("docent demo", "docent demo --keep"))
def demo(
    keep: Annotated[bool, typer.Option("--keep", help="Keep the temporary home afterwards.")] = False,
    json: JsonOption = False,
) -> None:
    """See it work: a service on a temporary home, sample PDFs, three questions, cited answers."""
    say = _silent if json else print_text
    with _stopped_by_sigterm(), _temporary_home(keep) as home:
        say(f"Starting the service on {home} …")
        with _service(home) as service:
            names = _drop_samples(service.places.library)
            say(f"Dropped {len(names)} PDFs into {service.places.library}")
            documents = _await_indexed(service, names, show=is_terminal() and not json)
            _report(documents, say)
            answers = [_ask(service, question, say) for question in _questions()]
    if json:
        print_json({
            "home": str(home) if keep else None,
            "documents": [document.model_dump(mode="json") for document in documents],
            "answers": [answer.model_dump(mode="json", by_alias=True) for answer in answers],
        })  # fmt: skip
    _say_what_next(home if keep else None, say)


def _silent(_text: str = "") -> None:
    """What --json says on the way."""


@dataclass(frozen=True, slots=True)
class _Service:
    process: subprocess.Popen[bytes]
    places: Places
    client: Client
    log: Path

    def require_running(self, doing: str) -> None:
        """Raise, with the end of the log, if the service has died."""
        if self.process.poll() is not None:
            raise _failed(doing, f"the service ended with status {self.process.returncode}", self.log)


def _failed(doing: str, why: str, log: Path) -> DocentError:
    lines = log.read_text(encoding="utf-8", errors="replace").splitlines()[-_LOG_LINES:]
    told = "\n".join(f"    {line}" for line in lines) or "    (nothing)"
    return DocentError(doing, f"{why}. The end of its log:\n{told}", "`docent doctor` checks this installation")


@contextmanager
def _stopped_by_sigterm() -> Iterator[None]:
    def stop(_number: int, _frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


@contextmanager
def _temporary_home(keep: bool) -> Iterator[Path]:
    home = Path(tempfile.mkdtemp(prefix="docent-demo-"))
    if len(os.fsencode(home / "docent.sock")) > _MAX_SOCKET_BYTES:
        home.rmdir()
        home = Path(tempfile.mkdtemp(prefix="docent-demo-", dir="/tmp"))
    try:
        yield home
    finally:
        if not keep:
            shutil.rmtree(home, ignore_errors=True)


@contextmanager
def _service(home: Path) -> Iterator[_Service]:
    environment = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith("DOCENT_") and name not in ("STATE_DIRECTORY", "RUNTIME_DIRECTORY", "NOTIFY_SOCKET")
    }
    environment |= {"DOCENT_HOME": str(home), "DOCENT_LIBRARY_SETTLE_SECONDS": "0.5"}
    places = find_places(environment)
    log = home / "service.log"
    with log.open("wb") as output:
        # A session of its own: Ctrl-C reaches this process alone, which then stops the service in order.
        process = subprocess.Popen(
            [sys.executable, "-m", "appliance", "serve"],
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        with Client(places.socket) as client:
            service = _Service(process, places, client, log)
            _await_ready(service)
            yield service
    finally:
        _stop(process)


def _await_ready(service: _Service) -> None:
    doing = "starting the service"
    deadline = time.monotonic() + _START_SECONDS
    while not service.client.ready():
        service.require_running(doing)
        if time.monotonic() > deadline:
            raise _failed(doing, f"it was not ready within {_START_SECONDS:.0f} seconds", service.log)
        time.sleep(0.1)


def _stop(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(_STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _drop_samples(library: Path) -> list[str]:
    names = []
    for sample in sorted(_samples().iterdir(), key=lambda entry: entry.name):
        if sample.name.endswith(".pdf"):
            (library / sample.name).write_bytes(sample.read_bytes())
            names.append(sample.name)
    return names


def _samples() -> Any:
    return resources.files("appliance") / "samples"


def _questions() -> list[str]:
    asked = json_library.loads((_samples() / "questions.json").read_text(encoding="utf-8"))
    return [str(entry["question"]) for entry in asked[:QUESTIONS]]


def _await_indexed(service: _Service, names: list[str], *, show: bool) -> list[Document]:
    doing = "indexing the sample PDFs"
    deadline = time.monotonic() + _INDEX_SECONDS
    with _bars(names) if show else _no_bars() as draw:
        while True:
            found = {document.document: document for document in service.client.documents()}
            draw(found)
            if all(name in found and found[name].state in ("indexed", "failed") for name in names):
                break
            service.require_running(doing)
            if time.monotonic() > deadline:
                raise _failed(doing, f"not done within {_INDEX_SECONDS:.0f} seconds", service.log)
            time.sleep(0.1)
    for name in names:
        if found[name].state == "failed":
            raise _failed(doing, f"{name}: {found[name].reason}", service.log)
    return [found[name] for name in names]


_Draw = Callable[[dict[str, Document]], None]


@contextmanager
def _bars(names: list[str]) -> Iterator[_Draw]:
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

    columns = (TextColumn("  {task.description}", markup=False), BarColumn(), MofNCompleteColumn(), TextColumn("pages"))
    with Progress(*columns, console=console(), transient=True) as bars:
        tasks = {name: bars.add_task(name, total=None) for name in names}

        def draw(found: dict[str, Document]) -> None:
            for name, task in tasks.items():
                if name in found:
                    bars.update(task, total=found[name].pages, completed=found[name].pages_done)

        yield draw


@contextmanager
def _no_bars() -> Iterator[_Draw]:
    yield lambda _found: None


def _report(documents: list[Document], say: Callable[[str], None]) -> None:
    for document in documents:
        say(f"  {document.document}: {document.pages} pages, {document.chunks} passages")


def _ask(service: _Service, question: str, say: Callable[[str], None]) -> Answer:
    answer = service.client.ask(AskRequest(question=question))
    if say is not _silent:
        print_text(f"\n── {question}\n")
        print_answer(answer)
    return answer


def _say_what_next(home: Path | None, say: Callable[[str], None]) -> None:
    docent = f"DOCENT_HOME={home} {_command()}" if home else _command()
    steps = (
        ("serve", "run a service of your own (or install it: sudo ./install.sh)"),
        ("add FILE.pdf --wait", "put your documents in, or copy them into its library folder"),
        ("tui", "ask in the terminal"),
        ("models import FILE.gguf", "let a language model write the answers"),
    )
    say("\nWhat next:")
    for step, meaning in steps:
        say(f"  {f'{docent} {step}':<{len(docent) + 25}} {meaning}")
    if home:
        say(f"\nThe demo's home is kept: {home}")


def _command() -> str:
    """How this user can call this `docent`."""
    beside = Path(sys.executable).with_name("docent")
    if shutil.which("docent") or not beside.exists():
        return "docent"
    try:
        return str(beside.relative_to(Path.cwd()))
    except ValueError:
        return str(beside)
