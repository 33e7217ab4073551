"""Installs models and adapters without the service.

Rule: files are put in place first; a running service is then asked to rescan. Door: `installing`.
"""
