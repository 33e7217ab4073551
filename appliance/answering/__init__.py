"""Passages -> cited answer: packing, prompts, extractive answers, citations, and which model answers."""
