"""Waiting for added files, with progress. Door: `waiting`."""
