"""SQLite: documents, their revisions, pages, chunks and vectors, and the two indexes over them. See `Store`."""

from appliance.store.ids import chunk_id, chunk_number, document_id, document_number
from appliance.store.names import display
from appliance.store.rows import DocumentRow, EmbedderKey, KnownFile, PageRow, PassageRow, State
from appliance.store.store import Store

__all__ = [
    "DocumentRow",
    "EmbedderKey",
    "KnownFile",
    "PageRow",
    "PassageRow",
    "State",
    "Store",
    "chunk_id",
    "chunk_number",
    "display",
    "document_id",
    "document_number",
]
