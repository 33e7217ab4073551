"""Decides which tokens are decoded next, for which requests, and which KV is kept.

Rule: no threads and no I/O; only calls of the engine have effects.
Door: `batcher`.
"""
