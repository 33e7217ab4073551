"""Finds tables of numbers among rows, with their column headings. Pure.

Rule: tables are found by where their words are, not by lines drawn on the page. The numbers were chosen by eye on real
reports; `python -m benchmarks.reading` holds them to what a person sees on those pages.
Door: `table_bodies`.
"""
