"""Models that others serve: one interface to this machine's own models and to remote ends. Off unless configured."""
