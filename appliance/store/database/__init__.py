"""The SQLite file: connections, one writer, reader pool, migrations, cleaning. Knows no table. Door: `database`."""
