"""Starts child processes without rights: exec, Landlock, seccomp, rlimits.

Rule: knows nothing of documents. Door: `launch` for the parent, `lockdown` for the child.
"""
