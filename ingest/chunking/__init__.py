"""Cuts a document's rows into passages. Pure.

Rule: the same pages always give the same chunks, and an edit changes only the chunks around it. Door: `chunker`.
"""
