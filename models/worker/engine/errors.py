"""How decoding fails."""


class DecodeFailed(Exception):
    """llama.cpp could not decode a batch; the context is in an unknown state and the process must end."""


class NoRoom(Exception):
    """llama.cpp found no cells for a batch; nothing has changed, and fewer tokens or sequences may fit."""
