"""The screens, one per file. Door: `ask`."""
