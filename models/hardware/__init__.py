"""Measures what the machine or the cgroup has: CPUs, memory, GPUs, memory pressure.

Rule: a limit or counter that cannot be read counts as absent; nothing here fails.
Door: `ram`.
"""
