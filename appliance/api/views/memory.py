"""Turns the models' memory report into `wire` values. Pure."""

import datetime
from typing import TYPE_CHECKING

from appliance import wire

if TYPE_CHECKING:
    from models.residency.decision_log import Decision
    from models.residency.memory_report import HolderReport, MemoryReport

_RAM = "ram"
_DECISIONS = 50
"""Newest decisions in a report. Chosen by eye."""


def memory_view(report: "MemoryReport") -> wire.Memory:
    """Build the reply of `GET /memory`: the budget, its holders and the latest decisions."""
    last = report.last_eviction
    return wire.Memory(
        budget=report.limits[_RAM],
        used=report.used[_RAM],
        holders=[_holder(one) for one in report.holders],
        devices=[
            wire.MemoryDevice(device=device, budget=limit, used=report.used.get(device, 0))
            for device, limit in report.limits.items()
        ],
        waiting=report.waiting,
        pressure=report.pressure,
        short=report.short,
        last_eviction=decision_view(last) if last else None,
        decisions=[decision_view(one) for one in report.decisions[-_DECISIONS:]],
    )


def decision_view(decision: "Decision") -> wire.MemoryDecision:
    """Build one decision about memory."""
    moment = datetime.datetime.fromtimestamp(decision.time, datetime.UTC)
    return wire.MemoryDecision(
        number=decision.number,
        time=moment.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        kind=decision.kind,
        model=decision.model,
        why=decision.why,
        cause=decision.cause,
        devices=dict(decision.devices),
    )


def _holder(one: "HolderReport") -> wire.MemoryHolder:
    return wire.MemoryHolder(
        id=one.id,
        kind=one.kind,
        predicted=one.predicted,
        measured=one.used,
        pid=one.pid,
        cpu_seconds=one.cpu_seconds,
        state=one.state,
        version=one.version,
        source=one.source,
        devices=dict(one.devices),
        parts=[wire.MemoryPart(name=part.name, device=part.device, bytes=part.bytes) for part in one.parts],
        adapters=[wire.MemoryAdapter(id=held.id, bytes=held.bytes, leases=held.leases) for held in one.adapters],
        pinned=one.pinned,
        leases=one.leases,
        idle_seconds=one.idle_s,
    )
