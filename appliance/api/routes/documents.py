"""`/documents`: list, show, add, remove, retry.

A document that the caller may not see does not exist for that caller: 404, never 403.
"""

import os
from collections.abc import Iterator
from itertools import islice
from typing import Annotated

import anyio
from fastapi import APIRouter, Query, Request

from appliance import wire
from appliance.api.blocking import blocking
from appliance.api.context import Context, Parts
from appliance.api.peer import Caller
from appliance.api.similar_names import nearest
from appliance.api.upload import Form, discard, receive
from appliance.api.views.documents import document_view, reading_view
from appliance.display.path_names import display_name
from appliance.errors import InvalidRequest, UnknownDocument
from appliance.library.collection_rights import Peer, require_admin
from appliance.store.indexes.document_names import collection_of
from appliance.store.rows import DocumentRow

router = APIRouter(tags=["documents"])
_MAX_PAGE = 1000
_TRUE, _FALSE = {"true", "1", "yes", "on"}, {"false", "0", "no", "off", ""}


@router.get("/documents")
async def list_documents(
    parts: Parts,
    peer: Caller,
    limit: Annotated[int, Query(ge=1, le=_MAX_PAGE)] = 100,
    cursor: str | None = None,
    collection: str | None = None,
    state: wire.DocumentState | None = None,
    document: str | None = None,
    like: str | None = None,
) -> wire.DocumentList:
    """List documents by path, a page at a time; needs read.

    `document` selects one exact path. `like` selects a file name: all documents that have it, or else a few with a
    similar one, best first.
    """

    def read() -> wire.DocumentList:
        collections = parts.rights.chosen(peer, collection)
        if document is not None:
            row = parts.store.by_display(document)
            visible = row is not None and (collections is None or row.collection in collections)
            return wire.DocumentList(documents=[document_view(row, parts.pace.of(row))] if row and visible else [])
        if like is not None:
            alike = islice(_alike(parts, like, collections), limit)
            return wire.DocumentList(documents=[document_view(row, parts.pace.of(row)) for row in alike])
        rows, following = parts.store.list_documents(limit=limit, cursor=cursor, collections=collections, state=state)
        return wire.DocumentList(documents=[document_view(row, parts.pace.of(row)) for row in rows], next=following)

    return await blocking(read)


@router.get("/documents/{document_id:path}")
async def show_document(parts: Parts, peer: Caller, document_id: str) -> wire.Document:
    """Return one document and how it was read; needs read."""

    def read() -> wire.Document:
        row = visible(parts, peer, document_id)
        found = parts.store.reading(row.id)
        shown = document_view(row, parts.pace.of(row))
        return shown.model_copy(update={"reading": reading_view(found)}) if found else shown

    return await blocking(read)


def _alike(parts: Context, like: str, collections: frozenset[bytes] | None) -> Iterator[DocumentRow]:
    paths = {
        display_name(path): path
        for path in parts.store.known_files()
        if collections is None or collection_of(path) in collections
    }
    same = [shown for shown in paths if shown.rpartition("/")[2] == like]
    for shown in same or nearest(like, paths):
        if (row := parts.store.by_path(paths[shown])) is not None:
            yield row


def visible(parts: Context, peer: Peer, document_id: str) -> DocumentRow:
    """Return the document, if this caller may see it.

    Raises:
        UnknownDocument: it does not exist, or this caller may not see it.
    """
    row = parts.store.get(document_id)
    collections = parts.rights.readable(peer)
    if collections is not None and row.collection not in collections:
        raise UnknownDocument(f"document {document_id!r}", "there is no such document", "see `docent documents list`")
    return row


def _writable(parts: Context, peer: Peer, document_id: str) -> DocumentRow:
    row = visible(parts, peer, document_id)
    parts.rights.require_write(peer, row.collection)
    return row


@router.post("/documents", status_code=201)
async def add_document(parts: Parts, peer: Caller, request: Request) -> wire.DocumentAdded:
    """Stream a multipart `file` into the library, with fields `collection`, `replace`, `name`; needs write."""
    kind = request.headers.get("content-type", "")
    limit = parts.settings.library.max_upload_bytes
    await blocking(_require_some_write, parts, peer)
    form = await receive(request.stream(), kind, parts.library.root, limit, blocking)
    try:
        return await blocking(_publish, parts, peer, form)
    finally:
        with anyio.CancelScope(shield=True):
            await blocking(discard, form)


def _require_some_write(parts: Context, peer: Peer) -> None:
    """Refuse before the upload, not after it: a caller without any right to write, or while the library is missing."""
    parts.intake.require_there("adding a document")
    parts.rights.require_some_write(peer)


def _publish(parts: Context, peer: Peer, form: Form) -> wire.DocumentAdded:
    assert form.file is not None
    replace = form.fields.get("replace", "").lower()
    if replace not in _TRUE | _FALSE:
        raise InvalidRequest("adding a document", f"the field replace is {replace!r}", "send true or false")
    collection = os.fsencode(form.fields.get("collection", ""))
    name = os.fsencode(form.fields["name"]) if "name" in form.fields else os.path.basename(form.name)
    path = parts.library.target(collection, name)
    parts.intake.require_there(f"adding {os.fsdecode(path)!r}")  # an upload may outlast the disk
    parts.rights.require_write(peer, collection)
    replaced = parts.library.publish(form.file, path, replace=replace in _TRUE)
    parts.intake.look(path)
    return wire.DocumentAdded(
        document=display_name(path), collection=display_name(collection), size=form.size, replaced=replaced
    )


@router.delete("/documents/{document_id:path}")
async def remove_document(parts: Parts, peer: Caller, document_id: str) -> wire.Document:
    """Delete the document's file and all that was indexed of it; needs write."""

    def remove() -> wire.Document:
        parts.intake.require_there(f"removing document {document_id!r}")
        row = _writable(parts, peer, document_id)
        try:
            parts.library.delete(row.path)
        finally:
            parts.intake.look(row.path)
        return document_view(row)

    return await blocking(remove)


@router.post("/library/accept")
async def accept_library(parts: Parts, peer: Caller) -> wire.LibraryAccepted:
    """Accept what is now in the library's folder, and forget the documents that are not in it; needs admin."""
    require_admin(peer, "accepting the library")
    return wire.LibraryAccepted(missing=await blocking(parts.intake.accept_library))


@router.post("/documents/{document_id}/retry")
async def retry_document(parts: Parts, peer: Caller, document_id: str) -> wire.Document:
    """Read a failed document again; needs write."""

    def retry() -> wire.Document:
        row = _writable(parts, peer, document_id)
        parts.intake.retry(row.id)
        return document_view(parts.store.get(row.id))

    return await blocking(retry)
