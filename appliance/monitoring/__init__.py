"""Reports how the service is doing: status, metrics, reading progress, and the events that clients watch.

Rule: counts are read from the store, never kept beside it.
Door: `status`.
"""
