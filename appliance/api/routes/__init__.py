"""The native routes, one file a subject. Door: `search`."""
