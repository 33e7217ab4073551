"""The program of a model's child process. Nothing outside imports it; only its module name is known. Door: `main`."""
