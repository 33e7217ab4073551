"""Search indexes over the tables, rebuildable at any time. Door: `vectors`, `fulltext`."""
