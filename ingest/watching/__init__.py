"""Which files of the library are there and have settled. Reads names and times, never content. Door: `watcher`."""
