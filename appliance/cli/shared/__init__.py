"""Options, output and document names that all commands share. Door: `output`."""
