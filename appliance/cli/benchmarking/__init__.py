"""Measures how fast a model answers on this machine, through the socket as any client sees it.

Rule: `figures`, `prompts`, `samples` and `regression` are pure; `measure` talks to the service, `history` to the disk.
Door: `measure`.
"""
