"""`docent search`: prints passages, best first, without an answer."""

import textwrap
from typing import Annotated

import typer

from appliance.cli.shared.options import CollectionOption, JsonOption, checked_query, command_group, connect, examples
from appliance.cli.shared.output import clean_name, print_model, print_text, text_width
from appliance.display.safe_text import clean_line
from appliance.wire import MAX_RESULTS, Passage

app = command_group()


@app.command(epilog=examples("docent search 'maximum operating pressure'", "docent search -k 20 -c contracts notice"))
def search(
    query: Annotated[str, typer.Argument(metavar="QUERY", help="Words or a question.")],
    k: Annotated[int, typer.Option("-k", metavar="N", min=1, max=MAX_RESULTS, help="Number of passages.")] = 5,
    collection: CollectionOption = None,
    json: JsonOption = False,
) -> None:
    """Find passages in the documents, best first."""
    query = checked_query(query, "query", "QUERY")
    with connect() as client:
        reply = client.search(query, k=k, collection=collection)
    if json:
        print_model(reply)
    elif not reply.results:
        print_text("Nothing found.")
    else:
        for rank, passage in enumerate(reply.results, 1):
            _print_passage(rank, passage)


def _print_passage(rank: int, passage: Passage) -> None:
    pages = page_span(passage.page, passage.page_last)
    heading = " › ".join(clean_line(part) for part in passage.heading)
    print_text(f"{rank}. {clean_name(passage.document)}, {pages}{f' · {heading}' if heading else ''}")
    text = textwrap.shorten(_without_headings(passage), 600, placeholder=" …")
    print_text(textwrap.fill(text, text_width(), initial_indent="   ", subsequent_indent="   "))
    print_text()


def _without_headings(passage: Passage) -> str:
    """The text on one line, without the headings at its beginning: the line above shows them already."""
    lines = [clean_line(line) for line in passage.text.splitlines()]
    said = {clean_line(part) for part in passage.heading}
    while len(lines) > 1 and lines[0] in said:
        del lines[0]
    return " ".join(filter(None, lines))


def page_span(first: int, last: int) -> str:
    """`page 3` or `pages 3-4`."""
    return f"page {first}" if first == last else f"pages {first}-{last}"
