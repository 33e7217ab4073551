"""Where models come from: a hub, a folder or a stick, checked by hash. Door: `pull`."""
