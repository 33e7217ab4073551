"""The service: answers questions about the documents of one folder, with page-exact citations.

Rule: imports run one way, from `cli` and `api` down to `config`, `wire` and `display`; a test enforces it.
Door: `service`.
"""

__version__ = "0.1.0"
