"""Starts children without rights: exec, Landlock, seccomp, rlimits. Knows nothing of documents. Door: `launch`."""
