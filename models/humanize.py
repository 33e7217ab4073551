"""Numbers in the words of messages."""


def amount(size: int | float) -> str:
    """Bytes in words, in powers of 1024: 1536 -> 1.5 KiB."""
    if size < 1024:
        return f"{size:.0f} B"
    for unit in ("KiB", "MiB", "GiB"):
        size /= 1024
        if size < 1024:
            return f"{size:.1f} {unit}"
    return f"{size / 1024:.1f} TiB"
