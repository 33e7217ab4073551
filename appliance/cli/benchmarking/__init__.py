"""How fast a model answers on this machine, measured from outside through the socket, as every client meets it.

`figures`, `prompts`, `samples` and `regression` are pure; `measure` talks to the service, `history` to the disk.
"""
