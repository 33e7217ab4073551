"""Options, output and words that all commands use. Door: `output`."""
