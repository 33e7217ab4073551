"""The socket API: one file per resource. Each route says what it needs: read, write or admin."""
