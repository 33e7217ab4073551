"""Installed LoRA adapters and their versions. Door: `catalog`."""
