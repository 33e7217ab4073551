"""Reads and writes the tables: one file per table or per job over several, as plain functions on a connection.

Rule: each function runs inside its caller's transaction and keeps no state.
Door: `documents`.
"""
