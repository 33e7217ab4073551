"""`docent ask`: the answer as it is written, then where each part of it stands.

On a terminal tokens appear as they come; Ctrl-C ends the request and so the answer. Elsewhere, with `--no-stream` or
with `--json`, the whole answer is printed at the end. Both show the same text: where the checked answer differs from
what was streamed, it is printed again.
"""

import sys
import textwrap
from typing import Annotated

import typer

from appliance.cli.options import (
    CollectionOption,
    JsonOption,
    command_group,
    complete_model,
    connect,
    examples,
)
from appliance.cli.output import is_terminal, print_model, print_text, text_width
from appliance.cli.wrapping import WordWrap
from appliance.client import Client
from appliance.errors import EXIT_FAILED, DocentError
from appliance.terminal import clean_line, clean_text
from appliance.wire import MAX_QUERY_CHARS, AdapterUse, Answer, AskRequest, Citation, DoneEvent, ErrorEvent, TokenEvent

app = command_group()


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
        typer.Option("--model", "-m", metavar="M", help="The model that answers.", autocompletion=complete_model),
    ] = None,
    adapter: Annotated[
        list[str] | None, typer.Option("--adapter", metavar="A[=SCALE]", help="A LoRA adapter; repeatable.")
    ] = None,
    collection: CollectionOption = None,
    no_stream: Annotated[bool, typer.Option("--no-stream", help="Print the answer when it is complete.")] = False,
    json: JsonOption = False,
) -> None:
    """Ask a question about the documents; the answer cites its pages."""
    adapters = [_adapter(given) for given in adapter or []]
    request = AskRequest(question=_question(question), model=model, adapters=adapters, collection=collection)
    with connect() as client:
        streaming = is_terminal() and not (no_stream or json)
        answer = _stream(client, request) if streaming else client.ask(request)
    if json:
        print_model(answer)
    else:
        print_answer(answer, with_text=not streaming)
    raise typer.Exit(EXIT_FAILED if answer.finish_reason == "error" else 0)


def _question(given: str) -> str:
    text = sys.stdin.read() if given == "-" else given
    text = text.strip()
    if not text:
        raise typer.BadParameter("the question is empty", param_hint="QUESTION")
    if len(text) > MAX_QUERY_CHARS:
        reason = f"the question has {len(text):,} characters; at most {MAX_QUERY_CHARS:,} are read"
        raise typer.BadParameter(reason, param_hint="QUESTION")
    return text


def _adapter(given: str) -> AdapterUse:
    name, equals, scale = given.partition("=")
    try:
        return AdapterUse(id=name, scale=float(scale) if equals else 1.0)
    except ValueError:
        raise typer.BadParameter(f"{scale!r} is not a number; write NAME or NAME=0.5", param_hint="--adapter") from None


def _stream(client: Client, request: AskRequest) -> Answer:
    written, wrap = "", WordWrap(text_width())
    for event in client.ask_stream(request):
        if isinstance(event, TokenEvent):
            written += event.text
            sys.stdout.write(wrap.feed(clean_text(event.text)))
            sys.stdout.flush()
        elif isinstance(event, ErrorEvent):
            print_text(f"{wrap.flush()}\ndocent: the answer broke off: {event.error.message}", stderr=True)
            if event.error.hint:
                print_text(f"  → {event.error.hint}", stderr=True)
        elif isinstance(event, DoneEvent):
            print_text(wrap.flush())
            if clean_text(event.answer).strip() != clean_text(written).strip():
                print_text(f"\nThe answer after its citations were checked:\n{event.answer}")
            return event
    raise DocentError("answering", "the service ended the answer without its last event", "ask again")


def print_answer(answer: Answer, *, with_text: bool = True) -> None:
    """An answer, its citations, and who answered."""
    if with_text:
        print_text(wrapped(answer.answer))
    for citation in answer.citations:
        print_text(_citation(citation))
    print_text(f"\n{_byline(answer)}")


def _citation(citation: Citation) -> str:
    doubt = "" if citation.supported else " (the page does not clearly support this)"
    quote = clean_line(citation.quote)
    lines = textwrap.fill(f"“{quote}”", text_width(), initial_indent="    ", subsequent_indent="    ")
    return f"\n{citation.marker} {clean_line(citation.document)}, page {citation.page}{doubt}\n{lines}"


def wrapped(text: str) -> str:
    """`text` for a person: broken between words on a terminal, as it is elsewhere."""
    if not is_terminal():
        return text
    wrap = WordWrap(text_width())
    return wrap.feed(clean_text(text)) + wrap.flush()


def _byline(answer: Answer) -> str:
    seconds = answer.timings.get("total")
    took = f" in {seconds:.1f} s" if seconds is not None else ""
    if answer.model == "extractive":
        line = f"Quoted from the documents without a language model{took}."
    else:
        adapters = "".join(f" + {use.id}={use.scale:g}" for use in answer.adapters)
        line = f"Answered by {answer.model}{adapters}{took}."
    if answer.fallback:
        line += f" It stood in for {answer.fallback.from_}: {answer.fallback.reason}"
    if answer.finish_reason == "length":
        line += " The answer was cut at its length limit."
    return line
