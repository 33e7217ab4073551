"""Starts a model's child process, exchanges messages with it, and notices its death.

Rule: trusts no message of a child. Used by the event loop's thread only, except the thread that starts processes.
Door: `child`.
"""
