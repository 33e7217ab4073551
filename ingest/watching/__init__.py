"""Finds which files of the library are there and have settled.

Rule: reads names, sizes and times, never content. Door: `watcher`.
"""
