"""`docent status`: shows the state of the service, its documents and its models."""

from appliance.cli.shared.options import JsonOption, command_group, connect, examples
from appliance.cli.shared.output import counted, print_fields, print_model
from appliance.display.humanize import LIBRARY_AWAY, embedding_line, overall_pace
from appliance.wire import Skipped, Status

app = command_group()


@app.command(epilog=examples("docent status", "docent status --json | jq .queue"))
def status(json: JsonOption = False) -> None:
    """Show whether the service is ready, the documents by state, the models, and a change of embedding model."""
    with connect() as client:
        reply = client.status()
    if json:
        print_model(reply)
    else:
        print_fields(_fields(reply))


def _fields(reply: Status) -> list[tuple[str, str]]:
    counts = reply.documents
    reading = overall_pace(reply.progress) if reply.progress else ""
    fields = [
        ("service", f"{'ready' if reply.ready else 'not ready'}, version {reply.version}"),
        (
            "documents",
            f"{counts.indexed} indexed, {counts.indexing} indexing, {counts.pending} pending, {counts.failed} failed",
        ),
        ("unread", _unread(reply.skipped)),
        ("passages", f"{reply.chunks:,}"),
        ("queue", "empty" if reply.queue == 0 else f"{reply.queue} to do"),
        ("reading", reading),
        ("models", ", ".join(reply.models_loaded) or "none loaded"),
    ]
    if reply.library_away:
        fields.insert(1, ("library", LIBRARY_AWAY))
    embedding = [("embedding", embedding_line(reply.embedding))] if reply.embedding else []
    return [(name, value) for name, value in fields if value] + embedding


def _unread(skipped: Skipped) -> str:
    if not skipped.pages:
        return ""
    pages, documents = counted(skipped.pages, "page"), counted(skipped.documents, "document")
    return f"{pages} of {documents} could not be read; `docent documents list` shows which"
