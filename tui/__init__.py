"""The terminal user interface, a Textual application: `python -m tui`.

Rule: of the rest of Docent it imports only `appliance.client`, `appliance.wire` and `appliance.display`. Door: `app`.
"""
