"""The events of `GET /events`."""

from appliance.wire.base import Reply
from appliance.wire.documents import Document
from appliance.wire.memory import MemoryDecision
from appliance.wire.models import Model
from appliance.wire.status import Status


class Event(Reply):
    """One event of `GET /events`: a document's or model's new state, or a decision about memory."""

    type: str
    document: Document | None = None
    model: Model | None = None
    status: Status | None = None
    removed: str | None = None
    memory: MemoryDecision | None = None
