"""A file on disk -> its pages, read by a locked-in child process. Door: `extraction`."""
