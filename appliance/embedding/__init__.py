"""Lends the embedding models, lets questions go before passages, and switches from one model to another.

Rule: vectors of different models never meet; the switch is one transaction of the store.
Door: `switch`.
"""
