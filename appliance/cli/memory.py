"""`docent memory`: the memory budget and who holds what."""

from appliance.cli.options import JsonOption, command_group, connect, examples
from appliance.cli.output import amount, print_model, print_table, print_text

app = command_group()


@app.command(epilog=examples("docent memory"))
def memory(json: JsonOption = False) -> None:
    """Show the memory budget for models and who holds what of it."""
    with connect() as client:
        reply = client.memory()
    if json:
        print_model(reply)
        return
    print_text(f"{amount(reply.used)} of {amount(reply.budget)} in use")
    if reply.holders:
        print_text()
        print_table(
            ("holder", "kind", "reserved>", "measured>"),
            [
                (held.id, held.kind, amount(held.predicted), "" if held.measured is None else amount(held.measured))
                for held in reply.holders
            ],
        )
