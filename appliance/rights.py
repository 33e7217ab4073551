"""Who may do what, from what the kernel says of the caller.

Every route declares read, write or admin. Admin is root, the service's own uid and members of `docent-admin`. A
collection's rights are the owner, group and mode of its folder (the library's own for files at its root): read needs
r and x for the caller, write needs w too. Nothing here is cached: a `chmod` counts from the next request on.
"""

import grp
import os
from dataclasses import dataclass
from pathlib import Path

from appliance.errors import NotAllowed, NotReady, UnknownCollection
from appliance.store.names import display

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
    """Root, the service itself, or a member of `docent-admin`."""
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
    """Rights on the collections of one library folder."""

    def __init__(self, library: Path) -> None:
        self._library = os.fsencode(library)

    def names(self) -> frozenset[bytes]:
        """Every collection that exists as a folder; `b""` is the library's root.

        Raises:
            NotReady: the library is gone, or the service may not read it.
        """
        try:
            with os.scandir(self._library) as entries:
                folders = [entry.name for entry in entries if entry.is_dir(follow_symlinks=False)]
        except OSError as error:
            what = f"looking into the library {os.fsdecode(self._library)}"
            hint = "mount it or make it again, and let the service read it"
            raise NotReady(what, error.strerror or str(error), hint) from error
        return frozenset(name for name in folders if not name.startswith(b".")) | {b""}

    def readable(self, peer: Peer) -> frozenset[bytes] | None:
        """The collections that the caller may see; None for all, whatever they are."""
        if is_admin(peer):
            return None
        return frozenset(name for name in self.names() if self._may(peer, name, _READ))

    def chosen(self, peer: Peer, collection: str | None) -> frozenset[bytes] | None:
        """What a request is about: the one named, as names are shown, or all that the caller may see.

        Raises:
            UnknownCollection: no such folder, or not one that the caller may see: the two look the same on purpose.
        """
        readable = self.readable(peer)
        if collection is None:
            return readable
        visible = self.names() if readable is None else readable
        named = frozenset(name for name in visible if display(name) == collection)
        if not named:
            raise UnknownCollection(
                f"collection {collection!r}",
                "there is no folder of that name in the library",
                "`docent documents list` shows each document's collection",
            )
        return named

    def require_write(self, peer: Peer, collection: bytes) -> None:
        """Raise `NotAllowed` unless the caller may add to and remove from this collection."""
        name = collection if collection in self.names() else b""
        if not self.may_write(peer, name):
            folder = os.fsdecode(os.path.join(self._library, name))
            raise NotAllowed(
                f"writing to {folder}", "its owner, group and mode do not permit it", f"see `ls -ld {folder}`"
            )

    def may_write(self, peer: Peer, name: bytes) -> bool:
        """Whether the caller may add to and remove from an existing collection."""
        return is_admin(peer) or self._may(peer, name, _WRITE)

    def _may(self, peer: Peer, name: bytes, needed: int) -> bool:
        try:
            found = os.stat(os.path.join(self._library, name), follow_symlinks=False)
        except OSError:
            return False
        if peer.uid == found.st_uid:
            return (found.st_mode >> 6) & needed == needed
        if found.st_gid in peer.groups:
            return (found.st_mode >> 3) & needed == needed
        return found.st_mode & needed == needed
