"""Formats names, amounts and foreign text for people.

Rule: pure; untrusted text passes through `safe_text` before it reaches a terminal.
Door: `humanize`.
"""
