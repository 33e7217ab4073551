"""Serves the socket API: one route file per resource, OpenAI's routes in `openai`.

Rule: each route states the right it needs (read, write or admin); blocking calls go through `blocking`.
Door: `app`.
"""
