"""`docent ask`: prints the answer as it is written, then its citations.

On a terminal, tokens appear as they arrive; Ctrl-C closes the request, which cancels the answer. Elsewhere, or with
`--no-stream` or `--json`, the whole answer is printed at the end. Both show the same text: if the checked answer differs
from what was streamed, it is printed again. The reason why an answer broke off goes to stderr, and with `--json` into
`error` as well.
"""

import sys
import textwrap
from typing import Annotated

import typer

from appliance.cli.reading_progress.waiting import why_empty
from appliance.cli.shared.options import (
    CollectionOption,
    JsonOption,
    checked_query,
    command_group,
    complete_model,
    connect,
    examples,
    text_argument,
    texts_argument,
)
from appliance.cli.shared.output import clean_name, is_terminal, print_json, print_text, text_width
from appliance.cli.shared.word_wrap import WordWrap
from appliance.client import Client
from appliance.display.answer_byline import EXTRACTIVE, byline
from appliance.display.safe_text import clean_line, clean_text
from appliance.errors import EXIT_FAILED, DocentError
from appliance.wire import AdapterUse, Answer, AskRequest, Citation, DoneEvent, ErrorBody, ErrorEvent, TokenEvent

app = command_group()

"""The model id of answers that are quoted without a language model."""


@app.command(
    epilog=examples(
        "docent ask 'How often must the filter be changed?'",
        "docent ask --model qwen2.5-7b --collection manuals 'What does error E42 mean?'",
        "docent ask - < question.txt",
    )
)
def ask(
    question: Annotated[str, typer.Argument(metavar="QUESTION", help="The question; - reads it from stdin.")],
    model: Annotated[
        str | None,
        typer.Option(
            "--model",
            "-m",
            metavar="M",
            help="The model that answers.",
            autocompletion=complete_model,
            callback=text_argument,
        ),
    ] = None,
    adapter: Annotated[
        list[str] | None,
        typer.Option("--adapter", metavar="A[=SCALE]", help="A LoRA adapter; repeatable.", callback=texts_argument),
    ] = None,
    collection: CollectionOption = None,
    no_stream: Annotated[bool, typer.Option("--no-stream", help="Print the answer when it is complete.")] = False,
    json: JsonOption = False,
) -> None:
    """Ask a question about the documents; the answer cites its pages."""
    adapters = [_adapter(given) for given in adapter or []]
    request = AskRequest(question=_question(question), model=model, adapters=adapters, collection=collection)
    streaming = is_terminal() and not (no_stream or json)
    with connect() as client:
        answer, broken = _receive(client, request, _Screen() if streaming else None)
        advice = "" if json else _advice(client, answer)
    if json:
        error = {"error": broken.model_dump()} if broken else {}
        print_json({**answer.model_dump(mode="json", by_alias=True, exclude={"type"}), **error})
    else:
        print_answer(answer, with_text=not streaming, advice=advice)
    if broken:
        _say_broken(broken)
    raise typer.Exit(EXIT_FAILED if answer.finish_reason == "error" else 0)


def _question(given: str) -> str:
    try:
        text = sys.stdin.read() if given == "-" else given
    except UnicodeDecodeError:
        raise typer.BadParameter("the question on stdin is not UTF-8 text", param_hint="QUESTION") from None
    return checked_query(text, "question", "QUESTION")


def _adapter(given: str) -> AdapterUse:
    name, equals, scale = given.partition("=")
    try:
        return AdapterUse(id=name, scale=float(scale) if equals else 1.0)
    except ValueError:
        raise typer.BadParameter(f"{scale!r} is not a number; write NAME or NAME=0.5", param_hint="--adapter") from None


class _Screen:
    """Prints the answer on a terminal while it is written."""

    def __init__(self) -> None:
        self._written = ""
        self._wrap = WordWrap(text_width())

    def write(self, text: str) -> None:
        self._written += text
        sys.stdout.write(self._wrap.feed(clean_text(text)))
        sys.stdout.flush()

    def finish(self, answer: str) -> None:
        """Ends the line; prints the checked answer if it differs from what was shown."""
        print_text(self._wrap.flush())
        if clean_text(answer).strip() != clean_text(self._written).strip():
            print_text(f"\nThe answer after its citations were checked:\n{wrapped(answer)}")


def _receive(client: Client, request: AskRequest, screen: _Screen | None) -> tuple[Answer, ErrorBody | None]:
    """The whole answer, and the reason if it broke off. Only the event stream carries that reason."""
    broken: ErrorBody | None = None
    for event in client.ask_stream(request):
        if isinstance(event, TokenEvent) and screen:
            screen.write(event.text)
        elif isinstance(event, ErrorEvent):
            broken = event.error
        elif isinstance(event, DoneEvent):
            if screen:
                screen.finish(event.answer)
            return event, broken
    raise DocentError("answering", "the service ended the connection before the answer was complete", "ask again")


def _say_broken(error: ErrorBody) -> None:
    print_text(f"docent: the answer broke off: {error.message}", stderr=True)
    if error.hint:
        print_text(f"  → {error.hint}", stderr=True)


def _advice(client: Client, answer: Answer) -> str:
    """What would give a better answer, where that is obvious: documents, other words, or a model."""
    if answer.model != EXTRACTIVE:
        return ""
    search = "" if answer.citations else "Try `docent search` with other words."
    try:
        if not answer.citations and (empty := why_empty(client.status())):
            return empty
        if answer.fallback:
            return search
        installed = [model.id for model in client.models() if model.kind == "gguf" and model.state != "failed"]
    except DocentError:  # the answer is complete; missing advice is no reason to fail
        return search
    return "\n".join(filter(None, (search, default_advice(installed))))


def default_advice(installed: list[str]) -> str:
    """How to choose one of several models if none is the default."""
    if len(installed) < 2:
        return ""
    return f"No default model is set: name one with --model ({', '.join(installed)}) or set models.default."


def print_answer(answer: Answer, *, with_text: bool = True, advice: str = "") -> None:
    """Prints an answer, its citations, and which model answered."""
    if with_text:
        print_text(wrapped(answer.answer))
    for cited in by_place(answer.citations):
        print_text(_citations(cited))
    print_text(f"\n{byline(answer)}")
    if advice:
        print_text(advice)


def by_place(citations: list[Citation]) -> list[list[Citation]]:
    """Groups citations by marker, document and page, in order of first appearance."""
    places: dict[tuple[str, str, int], list[Citation]] = {}
    for citation in citations:
        places.setdefault((citation.marker, citation.document, citation.page), []).append(citation)
    return list(places.values())


def _citations(cited: list[Citation]) -> str:
    """A marker with its page, then each distinct quote."""
    quotes = {clean_line(one.quote): one.supported for one in cited}
    first = cited[0]
    lines = [f"\n{first.marker} {clean_name(first.document)}, page {first.page}"]
    for quote, supported in quotes.items():
        doubt = "" if supported else " (the page does not clearly support this)"
        lines.append(textwrap.fill(f"“{quote}”{doubt}", text_width(), initial_indent="    ", subsequent_indent="    "))
    return "\n".join(lines)


def wrapped(text: str) -> str:
    """Wraps `text` between words on a terminal; leaves it unchanged elsewhere."""
    if not is_terminal():
        return text
    wrap = WordWrap(text_width())
    return wrap.feed(clean_text(text)) + wrap.flush()
