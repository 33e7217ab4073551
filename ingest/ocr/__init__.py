"""Recognises the text of scanned pages in a child process of its own (Tesseract).

Rule: a picture that fails costs its page alone, never the document. Door: `recogniser`.
"""
