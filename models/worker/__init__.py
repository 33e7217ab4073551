"""The program of a model's child process: engine, grammars, prompts, scheduling.

Rule: nothing outside imports it. The service starts it by its module name.
Door: `main`.
"""
