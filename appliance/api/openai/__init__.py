"""Serves OpenAI's routes under `/v1`.

Rule: names and field shapes are OpenAI's; what is not supported is refused, never ignored.
Door: `routes`.
"""
