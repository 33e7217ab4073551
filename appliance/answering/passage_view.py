"""Turns a passage of the store into its `wire` value. Pure."""

from appliance import wire
from appliance.display.path_names import display_name
from appliance.store.ids import chunk_id
from appliance.store.rows import PassageRow


def passage_view(row: PassageRow, score: float) -> wire.Passage:
    """Build a passage of `POST /search`."""
    return wire.Passage(
        document=display_name(row.path),
        collection=display_name(row.collection),
        page=row.page,
        page_last=row.page_last,
        heading=list(row.heading),
        text=row.text,
        score=round(score, 6),
        chunk_id=chunk_id(row.chunk),
    )
