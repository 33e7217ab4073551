"""Query -> ranked passages: parse, recognise the sources a question names, match and embed, fuse, one passage a page."""
