"""SQLite: documents, their revisions, pages, chunks and vectors, and the two indexes over them. See `Store`."""

from appliance.store.ids import chunk_id, chunk_number, document_id, document_number
from appliance.store.names import display
from appliance.store.rebuild import LackingChunk, LackingName, Rebuild, Remade
from appliance.store.rows import DocumentRow, EmbedderKey, KnownFile, PageRow, PassageRow, Standing, State
from appliance.store.store import ModelGone, Store
from appliance.store.view import View

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
