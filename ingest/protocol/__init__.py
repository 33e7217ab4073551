"""Defines what travels between this process and its children, and checks what comes back.

Rule: nothing that a child sends is trusted. Door: `page_decoder`.
"""
