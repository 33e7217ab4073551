"""Comparisons with peers, and long proofs that the test suite has no time for.

Run one as `python -m benchmarks.NAME`; its docstring says what it measures and what its exit code means.
"""
