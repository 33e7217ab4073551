"""From a page's blocks to passages. Pure. Door: `chunker`."""
