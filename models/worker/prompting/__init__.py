"""Turns messages into tokens: chat templates, control tokens, prompts that fit the context.

Rule: only the chat template may write control tokens.
Door: `prompt_builder`.
"""
