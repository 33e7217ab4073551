"""The `docent` command; a command's file is loaded only when it runs. Door: `app`."""
