"""The service's end of a model's child process: start, messages, death. Every message is distrusted. Door: `child`."""
