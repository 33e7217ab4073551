"""Which embedding models the store has vectors of, and how one takes the place of another.

At most one model is *serving*: every chunk and every findable document's name has its vector, and `vec_index_N` finds
them. At most one is the *target*: its vectors are being made while the serving one answers (`rebuild.py`), and `switch`
puts it in the serving one's place in one transaction. There is no serving one while the model that made the old vectors
is not to be had any more (`forget_serving`): then the full text answers alone.

What is read meanwhile is embedded by the *writing* model: the serving one, or without it the target. All of this is
asked of the tables inside each transaction and kept nowhere else, so that no crash can leave two opinions.
"""

from typing import Literal

import apsw

from appliance.store.database.connection import row, rows, run, value
from appliance.store.database.secure_cleaning import soil
from appliance.store.indexes.vectors import VectorIndex
from appliance.store.rows import EmbedderKey, EmbedderStatus
from appliance.store.tables import queue

Role = Literal["serving", "target"]


def standing(connection: apsw.Connection) -> EmbedderStatus:
    """The serving model and the target."""
    return EmbedderStatus(_key(connection, "serving"), _key(connection, "target"))


def serving(connection: apsw.Connection) -> VectorIndex | None:
    """The vectors that questions meet, if any do."""
    return _index(connection, "serving")


def target(connection: apsw.Connection) -> VectorIndex | None:
    """The vectors that are being made."""
    return _index(connection, "target")


def writing(connection: apsw.Connection) -> VectorIndex:
    """Where the vectors of new chunks and names go."""
    index = serving(connection) or target(connection)
    assert index is not None, "no embedding model was named since the store was opened"
    return index


def want(connection: apsw.Connection, key: EmbedderKey) -> EmbedderStatus:
    """Make `key` the model to answer with: at once where that costs nothing, else as the target.

    A half-made target that is not wanted any more is dropped; one that is wanted still goes on where it stands.
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
    run(  # only what differs: a start on a full disk must not fail for this
        connection,
        "UPDATE embedders SET folder = ?1, name = ?2 WHERE identity = ?3 AND (folder <> ?1 OR name <> ?2)",
        (key.folder, key.name, key.identity),
    )
    return standing(connection)


def forget_serving(connection: apsw.Connection) -> EmbedderStatus:
    """Drop the serving model's vectors, because the model itself is not to be had any more. There must be a target."""
    if _key(connection, "target") is not None:
        _drop(connection, "serving")
    return standing(connection)


def switch(connection: apsw.Connection, embedder: int) -> list[int] | None:
    """Put the target into the serving model's place, whose vectors are dropped; None if it is not complete or not the
    target any more.

    Gives the numbers of the documents with chunks that the new model cannot take whole. They are queued to be read
    again in shorter ones; until then they answer as they are.
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
"""Findable documents (number, path, title) without their name's vector by a model."""

_LACKING_CHUNK = (
    "SELECT 1 FROM chunks c WHERE NOT EXISTS"
    " (SELECT 1 FROM vectors v WHERE v.text_hash = c.text_hash AND v.embedder = ?) LIMIT 1"
)
# Those that wait or are being read already find out by themselves (`revisions.serves`).
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
    soil(connection)
    run(connection, f"DROP TABLE IF EXISTS vec_index_{int(number)}")
    run(connection, "DELETE FROM name_vectors WHERE embedder = ?", (number,))
    run(connection, "DELETE FROM vectors WHERE embedder = ?", (number,))
    run(connection, "DELETE FROM embedders WHERE id = ?", (number,))
