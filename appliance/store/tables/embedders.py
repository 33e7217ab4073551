"""Records which embedding models the store has vectors of, and replaces one by another.

At most one model is *serving*: every chunk and every findable document's name has its vector, and `vec_index_N` indexes
them. At most one is the *target*: its vectors are made while the serving one answers (`vector_rebuild`), and `switch`
makes it the serving one in one transaction. There is no serving model while the one that made the old vectors is not
available (`forget_serving`); then the full-text index answers alone.

Documents read meanwhile are embedded by the *writing* model: the serving one, or without it the target.

Rule: roles are read from the tables inside each transaction and cached nowhere, so no crash can leave two answers.
"""

from typing import Literal

import apsw

from appliance.store.database.connection import row, rows, run, value
from appliance.store.database.secure_cleaning import mark_dirty
from appliance.store.indexes.vectors import VectorIndex
from appliance.store.rows import EmbedderKey, EmbedderStatus
from appliance.store.tables import queue

Role = Literal["serving", "target"]


def standing(connection: apsw.Connection) -> EmbedderStatus:
    """The serving model and the target."""
    return EmbedderStatus(_key(connection, "serving"), _key(connection, "target"))


def serving(connection: apsw.Connection) -> VectorIndex | None:
    """The index of the serving model, which searches use; None without one."""
    return _index(connection, "serving")


def target(connection: apsw.Connection) -> VectorIndex | None:
    """The index of the target; None without one."""
    return _index(connection, "target")


def writing(connection: apsw.Connection) -> VectorIndex:
    """The index that takes the vectors of new chunks and names."""
    index = serving(connection) or target(connection)
    assert index is not None, "no embedding model was named since the store was opened"
    return index


def want(connection: apsw.Connection, key: EmbedderKey) -> EmbedderStatus:
    """Make `key` the serving model: at once if that costs nothing, else as the target.

    Another, half-made target is dropped; the same one continues where it stopped.
    """
    if _is(connection, "serving", key):
        _drop(connection, "target")
    elif value(connection, "SELECT id FROM chunks LIMIT 1") is None:
        _drop(connection, "target")
        _drop(connection, "serving")
        _add(connection, "serving", key).create(connection)
    elif not _is(connection, "target", key):
        _drop(connection, "target")
        _add(connection, "target", key)
    run(  # writes only on a difference: a start on a full disk must not fail for this
        connection,
        "UPDATE embedders SET folder = ?1, name = ?2 WHERE identity = ?3 AND (folder <> ?1 OR name <> ?2)",
        (key.folder, key.name, key.identity),
    )
    return standing(connection)


def forget_serving(connection: apsw.Connection) -> EmbedderStatus:
    """Drop the vectors of the serving model, which is no longer available. Does nothing without a target."""
    if _key(connection, "target") is not None:
        _drop(connection, "serving")
    return standing(connection)


def switch(connection: apsw.Connection, embedder: int) -> list[int] | None:
    """Make the target the serving model and drop the old vectors; None if it is incomplete or no longer the target.

    Returns the numbers of the documents with chunks that the new model cannot take whole. They are queued to be read
    again into shorter chunks; until then they answer as they are.
    """
    index = target(connection)
    if index is None or index.embedder != embedder or _lacks(connection, embedder):
        return None
    _drop(connection, "serving")
    run(connection, "UPDATE embedders SET role = 'serving' WHERE id = ?", (embedder,))
    index.live = True
    index.create(connection)
    index.index_all(connection)
    outgrown = [number for (number,) in rows(connection, _OUTGROWN, (embedder,))]
    for number in outgrown:
        queue.requeue(connection, number)
    return outgrown


LACKING_NAME = (
    "SELECT d.id, d.path, r.title FROM documents d JOIN revisions r ON r.id = coalesce(d.serving, d.building)"
    " WHERE r.chunks > 0 AND NOT EXISTS"
    " (SELECT 1 FROM name_vectors n WHERE n.document = d.id AND n.embedder = ?1) LIMIT ?2"
)
"""Findable documents (number, path, title) whose name lacks a model's vector."""

_LACKING_CHUNK = (
    "SELECT 1 FROM chunks c WHERE NOT EXISTS"
    " (SELECT 1 FROM vectors v WHERE v.text_hash = c.text_hash AND v.embedder = ?) LIMIT 1"
)
# For documents that are pending or being read, `revisions.serves` finds it out.
_OUTGROWN = (
    "SELECT d.id FROM documents d WHERE d.state = 'indexed' AND EXISTS"
    " (SELECT 1 FROM chunks c JOIN vectors v ON v.text_hash = c.text_hash AND v.embedder = ?"
    " WHERE c.revision = d.serving AND v.cut) ORDER BY d.sequence"
)


def _lacks(connection: apsw.Connection, embedder: int) -> bool:
    return bool(rows(connection, _LACKING_CHUNK, (embedder,)) or rows(connection, LACKING_NAME, (embedder, 1)))


def _key(connection: apsw.Connection, role: Role) -> EmbedderKey | None:
    found = row(connection, "SELECT identity, name, dimensions, folder FROM embedders WHERE role = ?", (role,))
    return EmbedderKey(*found) if found else None


def _is(connection: apsw.Connection, role: Role, key: EmbedderKey) -> bool:
    return bool(value(connection, "SELECT identity FROM embedders WHERE role = ?", (role,)) == key.identity)


def _index(connection: apsw.Connection, role: Role) -> VectorIndex | None:
    found = row(connection, "SELECT id, dimensions, identity FROM embedders WHERE role = ?", (role,))
    return VectorIndex(*found, live=role == "serving") if found else None


def _add(connection: apsw.Connection, role: Role, key: EmbedderKey) -> VectorIndex:
    run(
        connection,
        "INSERT INTO embedders (identity, name, dimensions, folder, role) VALUES (?, ?, ?, ?, ?)",
        (key.identity, key.name, key.dimensions, key.folder, role),
    )
    return VectorIndex(connection.last_insert_rowid(), key.dimensions, key.identity, live=role == "serving")


def _drop(connection: apsw.Connection, role: Role) -> None:
    number = value(connection, "SELECT id FROM embedders WHERE role = ?", (role,))
    if number is None:
        return
    mark_dirty(connection)
    run(connection, f"DROP TABLE IF EXISTS vec_index_{int(number)}")
    run(connection, "DELETE FROM name_vectors WHERE embedder = ?", (number,))
    run(connection, "DELETE FROM vectors WHERE embedder = ?", (number,))
    run(connection, "DELETE FROM embedders WHERE id = ?", (number,))
