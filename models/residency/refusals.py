"""The errors of refused requests, in words with numbers. Each refusal is in the decision log."""

from collections.abc import Sequence
from typing import Final

from models.errors import ModelBusy, ModelTooLarge
from models.humanize import amount
from models.memory.budget import Never
from models.residency.state import ResidencyState
from models.residency.wait_queue import Ticket

_NOTHING_SMALLER: Final = "give it a smaller context, import a smaller quantisation, or raise the memory budget"


def busy(residency: ResidencyState, what: str, model_id: str, why: str, hint: str) -> ModelBusy:
    """The model did not come free in time, or too many requests wait already."""
    residency.decisions.note("refused", model_id, why)
    return ModelBusy(what, why, hint)


def stopping(what: str) -> ModelBusy:
    """The service is stopping and starts no new work."""
    return ModelBusy(what, "the service is stopping", "try again when it has started again")


def too_large(
    residency: ResidencyState, what: str, ticket: Ticket, never: Never, smaller: Sequence[str]
) -> ModelTooLarge:
    """The model can never fit; `smaller` lists settings that would."""
    names = sorted({key.model for key in never.pinned})
    stays = f", of which what stays loaded ({', '.join(names)}) leaves" if names else ""
    texts = []
    for device, size in ticket.devices.items():
        room, limit = never.room[device], residency.limits.get(device, 0)
        if size > room:
            memory = "memory" if device == "ram" else f"memory on {device}"
            left = f"{stays} {amount(room)}" if stays else ""
            texts.append(f"it needs about {amount(size)} of {memory}, and the budget is {amount(limit)}{left}")
    why = "; ".join(texts)
    hint = f"this would fit: {'; '.join(smaller)}" if smaller else _NOTHING_SMALLER
    if any(name in residency.pins for name in names):
        hint += "; or unpin a model"
    residency.decisions.note("refused", ticket.model, why, devices=ticket.devices)
    return ModelTooLarge(what, why, hint)
