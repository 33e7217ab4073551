"""The `docent` command: one file per command group, loaded only when that command runs."""
