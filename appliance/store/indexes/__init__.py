"""Maintains what a search reads: full-text index, vectors, document names, and what a document says of itself.

Rule: an index holds nothing that cannot be rebuilt from the tables.
Door: `fulltext`, `vectors`.
"""
