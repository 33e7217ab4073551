"""Defines the JSON shapes of the socket API, shared by `api` and `client`: one file per resource, all exported here.

Rule: imports nothing of ours from outside itself. The shapes of OpenAI's routes are in `wire.openai`.
Door: `base`.
"""

from appliance.wire.answers import (
    AdapterUse,
    Answer,
    AskEvent,
    AskRequest,
    Citation,
    DoneEvent,
    ErrorEvent,
    Fallback,
    FinishReason,
    PassagesEvent,
    PromptDetails,
    Seed,
    Stop,
    TokenEvent,
    Usage,
)
from appliance.wire.base import Reply, Request
from appliance.wire.documents import (
    LEAST_DPI,
    MAX_QUOTE_CHARS,
    MOST_DPI,
    USUAL_DPI,
    Document,
    DocumentAdded,
    DocumentList,
    DocumentState,
    LibraryAccepted,
    Reading,
    Sources,
)
from appliance.wire.errors import ErrorBody, ErrorReply, ForeignText
from appliance.wire.events import Event
from appliance.wire.memory import Memory, MemoryAdapter, MemoryDecision, MemoryDevice, MemoryHolder, MemoryPart
from appliance.wire.models import Model, ModelList
from appliance.wire.search import MAX_QUERY_CHARS, MAX_RESULTS, Passage, Query, SearchReply, SearchRequest
from appliance.wire.status import DocumentCounts, Embedding, Progress, Skipped, Status

__all__ = [
    "LEAST_DPI",
    "MAX_QUERY_CHARS",
    "MAX_QUOTE_CHARS",
    "MAX_RESULTS",
    "MOST_DPI",
    "USUAL_DPI",
    "AdapterUse",
    "Answer",
    "AskEvent",
    "AskRequest",
    "Citation",
    "Document",
    "DocumentAdded",
    "DocumentCounts",
    "DocumentList",
    "DocumentState",
    "DoneEvent",
    "Embedding",
    "ErrorBody",
    "ErrorEvent",
    "ErrorReply",
    "Event",
    "Fallback",
    "FinishReason",
    "ForeignText",
    "LibraryAccepted",
    "Memory",
    "MemoryAdapter",
    "MemoryDecision",
    "MemoryDevice",
    "MemoryHolder",
    "MemoryPart",
    "Model",
    "ModelList",
    "Passage",
    "PassagesEvent",
    "Progress",
    "PromptDetails",
    "Query",
    "Reading",
    "Reply",
    "Request",
    "SearchReply",
    "SearchRequest",
    "Seed",
    "Skipped",
    "Sources",
    "Status",
    "Stop",
    "TokenEvent",
    "Usage",
]
