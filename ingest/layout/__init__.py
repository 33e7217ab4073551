"""Turns a page's words into rows, paragraphs and headings, by geometry. Pure.

Rule: the same pages always give the same rows. The numbers were chosen by eye on real reports, incident reports and a
paper; `python -m benchmarks.reading` holds them to what a person sees on those pages.
Door: `rows`.
"""
