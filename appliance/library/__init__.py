"""Keeps the store in step with the watched folder, and reads what is queued.

Rule: the folder is the truth; every report of a change only makes the store agree with what is on disk now.
Door: `intake`.
"""
