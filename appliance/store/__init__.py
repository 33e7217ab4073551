"""SQLite: documents, their revisions, pages, chunks and vectors, and the two indexes over them. See `Store`."""

from appliance.store.ids import chunk_id, chunk_number, document_id, document_number
from appliance.store.indexes.document_names import display
from appliance.store.rows import DocumentRow, EmbedderKey, KnownFile, PageRow, PassageRow, Standing, State
from appliance.store.snapshot import View
from appliance.store.store import ModelGone, Store
from appliance.store.vector_rebuild import LackingChunk, LackingName, Rebuild, Remade

__all__ = [
    "DocumentRow",
    "EmbedderKey",
    "KnownFile",
    "LackingChunk",
    "LackingName",
    "ModelGone",
    "PageRow",
    "PassageRow",
    "Rebuild",
    "Remade",
    "Standing",
    "State",
    "Store",
    "View",
    "chunk_id",
    "chunk_number",
    "display",
    "document_id",
    "document_number",
]
