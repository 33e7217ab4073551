"""Settings and places: read once, frozen, passed to whoever needs them. Door: `settings`."""
