"""Keeps the installed LoRA adapters and their versions on disk, and checks which base model each fits.

Rule: an adapter is applied only to a base whose architecture and tensors it fits, and only while its file is unchanged.
Door: `catalog`.
"""
