"""Text recognition of scanned pages, in a child process of its own. Door: `recogniser`."""
