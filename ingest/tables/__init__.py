"""From words in columns to table rows with their headings. Pure. Door: `table_bodies`."""
