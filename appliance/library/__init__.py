"""The watched folder is the truth: from a changed file to a read document. Door: `intake`."""
