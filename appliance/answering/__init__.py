"""Turns passages into a cited answer, by a language model or by quoting sentences.

Rule: what was streamed is the answer; nothing downstream calls upstream.
Door: `answerer`.
"""
