"""Docent's own routes, one file per resource.

Rule: a route checks the caller's right before it acts, and returns `wire` values.
Door: `search`.
"""
