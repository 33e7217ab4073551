"""Opens, writes, migrates and cleans the SQLite file: one writer thread, a pool of readers.

Rule: only `migrations` knows tables, and `secure_cleaning` its own.
Door: `database`.
"""
