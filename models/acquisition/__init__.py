"""Brings models from a hub, a folder or a USB stick, verified by their hash.

Rule: nothing a hub or a file says is trusted further than it is checked; a download is installed whole or not at all.
Door: `pull`.
"""
