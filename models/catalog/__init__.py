"""Keeps the installed GGUF models and their versions on disk: import, verify, switch, remove.

Rule: knows nothing of what is loaded; every change is made under the folder's lock and becomes visible by one rename.
Door: `catalog`.
"""
