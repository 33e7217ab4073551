"""One file per command. Door: the file with the command's name."""
