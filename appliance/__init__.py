"""The service: configuration, wiring, storage, retrieval, answers, API, CLI."""

__version__ = "0.1.0"
