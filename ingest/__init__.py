"""Turns a file on disk into passages with vectors, streamed in batches.

Rule: imports none of our code from outside itself; it declares the protocols that it needs (`types`).
Door: `pipeline`, and `reader` for one file of the library.
"""
