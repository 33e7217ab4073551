"""Installed GGUF models and their versions on disk. Knows nothing of what is loaded. Door: `catalog`."""
