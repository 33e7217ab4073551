"""Searches and the passages they find."""

from typing import Annotated

from pydantic import Field

from appliance.wire.base import Reply, Request

MAX_QUERY_CHARS = 16_384
MAX_RESULTS = 200

Query = Annotated[str, Field(min_length=1, max_length=MAX_QUERY_CHARS)]


class SearchRequest(Request):
    """A search in all collections that the caller may see, or in one of them."""

    query: Query
    k: int = Field(default=5, ge=1, le=MAX_RESULTS)
    collection: str | None = None


class Passage(Reply):
    """A found passage; a higher score is better, comparable only within one reply."""

    document: str
    collection: str
    page: int
    page_last: int
    heading: list[str]
    text: str
    score: float
    chunk_id: str


class SearchReply(Reply):
    """Passages, best first; `timings` in seconds."""

    query: str
    results: list[Passage]
    timings: dict[str, float]
