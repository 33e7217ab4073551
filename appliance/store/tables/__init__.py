"""One file a table or a job over tables: plain functions on a connection. Door: `documents`."""
