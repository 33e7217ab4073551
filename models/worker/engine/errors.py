"""The errors of decoding."""


class DecodeFailed(Exception):
    """llama.cpp could not decode a batch. The context is in an unknown state, so the process must end."""


class NoRoom(Exception):
    """llama.cpp had too few free cells for a batch. Nothing has changed; fewer tokens or sequences may fit."""
