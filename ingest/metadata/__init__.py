"""Derives title, language and reporting period from a document's first pages. Pure.

Door: `document_metadata`.
"""
