"""From a page's words to lines, paragraphs and headings, by geometry. Pure. Door: `rows`."""
