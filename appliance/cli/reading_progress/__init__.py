"""Waits until added files are read, and shows progress. Door: `waiting`."""
