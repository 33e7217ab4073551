"""The one failure that a child does not survive."""


class DecodeFailed(Exception):
    """llama.cpp could not decode a batch; the context is in an unknown state and the process must end."""
