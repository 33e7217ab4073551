"""Turns a query into ranked passages: parse, find the named sources, match words and vectors, fuse.

Rule: reads one snapshot of the store per search; all but `search` is pure.
Door: `search`.
"""
