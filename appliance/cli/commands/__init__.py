"""One file a command. Door: the file of the command's name."""
