"""Textual application; knows `appliance.client` and `appliance.wire`, nothing else; `python -m tui`."""
