"""Stores everything that is known about the library in one SQLite file: documents, pages, chunks, vectors, indexes.

Rule: only the writer thread writes; each public method is one transaction or one snapshot.
Door: `store`.
"""

from appliance.store.ids import chunk_id, chunk_number, document_id, document_number
from appliance.store.rows import DocumentRow, EmbedderKey, EmbedderStatus, KnownFile, PageRow, PassageRow, State
from appliance.store.snapshot import Snapshot
from appliance.store.store import ModelGone, Store
from appliance.store.vector_rebuild import LackingChunk, LackingName, Rebuild, Remade

__all__ = [
    "DocumentRow",
    "EmbedderKey",
    "EmbedderStatus",
    "KnownFile",
    "LackingChunk",
    "LackingName",
    "ModelGone",
    "PageRow",
    "PassageRow",
    "Rebuild",
    "Remade",
    "Snapshot",
    "State",
    "Store",
    "chunk_id",
    "chunk_number",
    "document_id",
    "document_number",
]
