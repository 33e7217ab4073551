"""`docent memory`: shows the memory budget, what uses it, and recent decisions."""

from appliance import wire
from appliance.cli.shared.options import JsonOption, command_group, connect, examples
from appliance.cli.shared.output import counted, print_model, print_table, print_text
from appliance.display.humanize import amount

app = command_group()
_DECISIONS = 10


@app.command(epilog=examples("docent memory"))
def memory(json: JsonOption = False) -> None:
    """Show the memory budget for models, what uses it, and why models were loaded and unloaded."""
    with connect() as client:
        reply = client.memory()
    if json:
        print_model(reply)
        return
    for line in _budgets(reply):
        print_text(line)
    if reply.holders:
        print_text()
        print_table(("holder", "kind", "reserved>", "measured>", "source", "use"), list(map(_row, reply.holders)))
    for holder in reply.holders:
        if holder.parts:
            print_text(f"{holder.id}: {_parts(holder)}")
    _print_decisions(reply)


def _budgets(reply: wire.Memory) -> list[str]:
    lines = [f"{amount(reply.used)} of {amount(reply.budget)} in use"]
    lines += [
        f"{one.device}: {amount(one.used)} of {amount(one.budget)}" for one in reply.devices if one.device != "ram"
    ]
    if reply.waiting:
        lines.append(f"{counted(reply.waiting, 'request')} waiting for a model")
    if reply.short:
        lines.append("Memory is short: idle models are unloaded early")
    return lines


def _row(held: wire.MemoryHolder) -> tuple[str, ...]:
    measured = "" if held.measured is None else amount(held.measured)
    return (held.id, held.kind, amount(held.predicted), measured, held.source, ", ".join(_uses(held)))


def _uses(held: wire.MemoryHolder) -> list[str]:
    if held.state == "held":
        return []
    uses = ["pinned"] * held.pinned
    if held.state != "loaded":
        return [*uses, held.state]
    if held.leases:
        return [*uses, f"{held.leases} in use"]
    return uses if held.idle_seconds is None else [*uses, f"idle for {held.idle_seconds:.0f} s"]


def _parts(held: wire.MemoryHolder) -> str:
    """The parts of a model's memory, its adapters included."""
    parts = [
        f"{part.name} {amount(part.bytes)}{'' if part.device == 'ram' else f' on {part.device}'}" for part in held.parts
    ]
    return ", ".join([*parts, *(f"adapter {one.id} {amount(one.bytes)}" for one in held.adapters)])


def _print_decisions(reply: wire.Memory) -> None:
    if not reply.decisions:
        return
    print_text("\nRecent decisions:")
    shown = reply.decisions[-_DECISIONS:]
    if reply.last_eviction is not None and reply.last_eviction.number < shown[0].number:
        shown = [reply.last_eviction, *shown]
    for one in shown:
        model = f" {one.model}" if one.model else ""
        print_text(f"{one.time[:19].replace('T', ' ')} {one.kind}{model}: {one.why}")
