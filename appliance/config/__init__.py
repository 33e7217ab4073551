"""Reads the settings, and finds where state, socket and configuration live.

Rule: read once and frozen; each part is passed the settings it needs, none reads them itself.
Door: `settings`.
"""
