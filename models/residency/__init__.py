"""Decides which models are in memory: admission, eviction, leases.

Rule: shared state lives in `state`, touched only by the event loop's thread. Memory counts until its process has
exited.
Door: `manager`.
"""
