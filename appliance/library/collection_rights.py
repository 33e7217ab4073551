"""Decides who may do what, from the caller's credentials as the kernel gives them.

Every route declares read, write or admin. Admin is root, the service's own uid and members of `docent-admin`. A
collection's rights are the owner, group and mode of its folder (the library's own for files at its root): read needs
r and x for the caller, write needs w too. A `chmod` takes effect with the next request.

While the library is not available, the empty mount point says nothing about its collections. The rights last seen
apply; they are kept in memory and refreshed every few seconds (`appliance.runtime.periodic`). A service that has not
seen the library since its start answers only administrators.
"""

import grp
import os
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from appliance.display.path_names import display_name
from appliance.errors import LibraryAway, NotAllowed, NotReady, UnknownCollection

ADMIN_GROUP = "docent-admin"
_READ, _WRITE = 0o5, 0o7


@dataclass(frozen=True, slots=True)
class Peer:
    """The process at the other end of the socket, as the kernel knows it."""

    pid: int
    uid: int
    groups: frozenset[int]
    """Primary and supplementary groups."""


def is_admin(peer: Peer) -> bool:
    """Whether the caller is root, the service itself, or a member of `docent-admin`."""
    if peer.uid in (0, os.geteuid()):
        return True
    try:
        return grp.getgrnam(ADMIN_GROUP).gr_gid in peer.groups
    except KeyError:
        return False


def require_admin(peer: Peer, what: str) -> None:
    """Raise `NotAllowed` unless the caller is an administrator."""
    if not is_admin(peer):
        raise NotAllowed(what, "only an administrator may", f"use sudo, or join the group {ADMIN_GROUP}")


class CollectionRights:
    """Rights on the collections of one library folder; from any thread."""

    def __init__(self, library: Path, there: Callable[[], bool] = lambda: True) -> None:
        """`there()` returns whether the library's disk is mounted."""
        self._library = os.fsencode(library)
        self._there = there
        self._last: Mapping[bytes, os.stat_result] | None = None  # replaced as a whole

    def look(self) -> Mapping[bytes, os.stat_result]:
        """Every collection with its folder's status; `b""` is the library's root.

        While the library is not available, as it was last seen.

        Raises:
            LibraryAway: the library is not available, and has not been seen since the start.
            NotReady: the service may not read the library.
        """
        if self._there():
            found = self._folders()
            if self._there():  # else it was unmounted meanwhile, and what was found may be the empty mount point
                self._last = found
                return found
        if self._last is None:
            what = f"looking into the library {os.fsdecode(self._library)}"
            why = "its disk is not mounted, or another one is, so it is not known who may see which documents"
            raise LibraryAway(what, why, "mount its disk, then try again; see `docent doctor`")
        return self._last

    def _folders(self) -> Mapping[bytes, os.stat_result]:
        found: dict[bytes, os.stat_result] = {}
        try:
            found[b""] = os.stat(self._library)
            with os.scandir(self._library) as entries:
                for entry in entries:
                    with suppress(OSError):  # just deleted, or its status cannot be read: then no caller may see it
                        if not entry.name.startswith(b".") and entry.is_dir(follow_symlinks=False):
                            found[entry.name] = entry.stat(follow_symlinks=False)
        except OSError as error:
            what = f"looking into the library {os.fsdecode(self._library)}"
            hint = "mount its disk or create the folder again, and let the service read it"
            raise NotReady(what, error.strerror or str(error), hint) from error
        return found

    def readable(self, peer: Peer) -> frozenset[bytes] | None:
        """The collections that the caller may see; None means all, present and future."""
        if is_admin(peer):
            return None
        return frozenset(name for name, folder in self.look().items() if _permits(folder, peer, _READ))

    def chosen(self, peer: Peer, collection: str | None) -> frozenset[bytes] | None:
        """The collections of a request: the one named, by its display name, or all that the caller may see.

        Raises:
            UnknownCollection: no such folder, or one that the caller may not see; the two look the same on purpose.
        """
        readable = self.readable(peer)
        if collection is None:
            return readable
        visible = self.look().keys() if readable is None else readable
        named = frozenset(name for name in visible if display_name(name) == collection)
        if not named:
            raise UnknownCollection(
                f"collection {collection!r}",
                "there is no folder of that name in the library",
                "`docent documents list` shows each document's collection",
            )
        return named

    def require_write(self, peer: Peer, collection: bytes) -> None:
        """Raise `NotAllowed` unless the caller may add to and remove from this collection.

        A collection that does not exist yet has the rights of the library's root.
        """
        if is_admin(peer):
            return
        folders = self.look()
        name = collection if collection in folders else b""
        if not _permits(folders[name], peer, _WRITE):
            folder = os.fsdecode(os.path.join(self._library, name))
            raise NotAllowed(
                f"writing to {folder}", "its owner, group and mode do not permit it", f"see `ls -ld {folder}`"
            )

    def require_some_write(self, peer: Peer) -> None:
        """Raise `NotAllowed` unless there is a collection that the caller may add to."""
        if not is_admin(peer) and not any(_permits(folder, peer, _WRITE) for folder in self.look().values()):
            self.require_write(peer, b"")


def _permits(folder: os.stat_result, peer: Peer, needed: int) -> bool:
    if peer.uid == folder.st_uid:
        return (folder.st_mode >> 6) & needed == needed
    if folder.st_gid in peer.groups:
        return (folder.st_mode >> 3) & needed == needed
    return folder.st_mode & needed == needed
