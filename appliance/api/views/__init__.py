"""Turns the store's rows and the models' states into `wire` values.

Rule: pure, no I/O.
Door: `documents`.
"""
