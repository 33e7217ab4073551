"""Names that are never a person's document: hidden files, leftovers of other programs, unfinished downloads."""

from fnmatch import fnmatchcase

_PATTERNS = (
    b".*",
    b"~$*",
    b"*~",
    b"*.part",
    b"*.partial",
    b"*.crdownload",
    b"*.download",
    b"*.tmp",
    b"*.swp",
    b"thumbs.db",
    b"desktop.ini",
    b"@eadir",
    b"#recycle",
    b"lost+found",
    b"$recycle.bin",
    b"system volume information",
)


def is_ignored(path: bytes) -> bool:
    """Whether any component of a path relative to the library is ignored."""
    return any(_is_ignored_name(name) for name in path.split(b"/"))


def _is_ignored_name(name: bytes) -> bool:
    lowered = name.lower()
    return any(fnmatchcase(lowered, pattern) for pattern in _PATTERNS)
