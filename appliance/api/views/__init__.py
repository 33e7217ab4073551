"""Rows and states as the outside sees them: `wire` values. Pure. Door: `documents`."""
