"""The `docent` command.

Rule: a command's module is imported only when it runs or shows its help. Door: `app`.
"""
