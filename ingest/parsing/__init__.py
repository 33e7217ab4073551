"""Reads one file's pages in a locked-in child process.

Rule: only the child looks at a document's content; this side opens the file, keeps the deadlines, checks every message.
Door: `extraction`.
"""
