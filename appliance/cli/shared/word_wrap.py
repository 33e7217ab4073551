"""Wraps text between words while it is still arriving. Pure.

A word is held back until its end is known, so text that was returned never has to be moved.
"""

from appliance.display.safe_text import cell_width


class WordWrap:
    """Makes lines of at most `width` cells; a longer word gets a line of its own, unbroken."""

    def __init__(self, width: int) -> None:
        self._width = width
        self._column = 0
        self._spaces = ""
        self._word = ""

    def feed(self, text: str) -> str:
        """Takes more text; returns what can be shown now."""
        shown = ""
        for character in text:
            if character == "\n":
                shown += self.flush() + "\n"
                self._column, self._spaces = 0, ""
            elif character in " \t":
                shown += self.flush()
                self._spaces += " "
            else:
                self._word += character
        return shown

    def flush(self) -> str:
        """Returns the word held back; call it at the end."""
        word, self._word = self._word, ""
        if not word:
            return ""
        between, self._spaces = self._spaces, ""
        if self._column and self._column + len(between) + cell_width(word) > self._width:
            self._column = cell_width(word)
            return f"\n{word}"
        self._column += len(between) + cell_width(word)
        return between + word
