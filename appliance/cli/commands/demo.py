"""`docent demo`: runs all of Docent on a temporary home, without systemd and without touching the user's files.

Starts a real service, copies the sample PDFs into its library folder and asks three questions. Nothing is left behind,
unless `--keep` keeps the home.
"""

import json as json_library
import shutil
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib import resources
from pathlib import Path
from typing import Annotated, Any

import typer

from appliance.cli.commands.ask import print_answer
from appliance.cli.shared.options import JsonOption, command_group, examples
from appliance.cli.shared.output import console, is_terminal, print_json, print_text
from appliance.cli.temporary_service import Interrupts, TemporaryService, temporary_home, temporary_service
from appliance.wire import Answer, AskRequest, Document

app = command_group()

QUESTIONS = 3
_INDEX_SECONDS = 300.0


@app.command(epilog=examples("docent demo", "docent demo --keep"))
def demo(
    keep: Annotated[bool, typer.Option("--keep", help="Keep the temporary home afterwards.")] = False,
    json: JsonOption = False,
) -> None:
    """See it work: starts a service on a temporary home, adds sample PDFs, and asks three questions."""
    say = _silent if json else print_text
    with Interrupts() as interrupts, temporary_home(interrupts, keep=keep) as home:
        say(f"Starting the service on {home} …")
        with temporary_service(home, interrupts) as service:
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
    """Prints nothing: with --json only the result counts."""


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


def _await_indexed(service: TemporaryService, names: list[str], *, show: bool) -> list[Document]:
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
                raise service.failed(doing, f"not done within {_INDEX_SECONDS:.0f} seconds")
            time.sleep(0.1)
    for name in names:
        if found[name].state == "failed":
            raise service.failed(doing, f"{name}: {found[name].reason}")
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


def _ask(service: TemporaryService, question: str, say: Callable[[str], None]) -> Answer:
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
    say("\nNext steps:")
    for step, meaning in steps:
        say(f"  {f'{docent} {step}':<{len(docent) + 25}} {meaning}")
    if home:
        say(f"\nThe demo's home is kept: {home}")


def _command() -> str:
    """The command line that starts this `docent` for this user."""
    beside = Path(sys.executable).with_name("docent")
    if shutil.which("docent") or not beside.exists():
        return "docent"
    try:
        return str(beside.relative_to(Path.cwd()))
    except ValueError:
        return str(beside)
