"""The answer as it is written: plain text with highlighted citation markers."""

import re

from textual.app import ComposeResult
from textual.containers import VerticalScroll
from textual.content import Content
from textual.widgets import Static

from appliance.display.safe_text import clean_text

_MARKER = re.compile(r"\[\d+\]")
_REFRESH_SECONDS = 0.05
_WELCOME = "Type a question and press Enter. The answer cites its pages; Enter on a citation opens it."


class AnswerView(VerticalScroll):
    """Question and answer. Grows token by token and follows the end until the user scrolls up."""

    can_focus = True

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._text = ""
        self._drawn = ""
        self._following = True

    def compose(self) -> ComposeResult:
        yield Static(_WELCOME, id="question", markup=False)
        yield Static("", id="answer", markup=False)
        yield Static("", id="byline", markup=False)

    def on_mount(self) -> None:
        # Tokens may come faster than a terminal can draw.
        self.set_interval(_REFRESH_SECONDS, self._draw)

    def begin(self, question: str) -> None:
        """Shows a new question without an answer."""
        self._following = True
        self._text = ""
        self.query_one("#question", Static).update(Content(clean_text(question)))
        self.set_byline("Searching …")
        self._draw()

    def append(self, text: str) -> None:
        """Adds a piece of the answer."""
        self._text += text

    def finish(self, text: str, byline: str) -> None:
        """Shows the whole checked answer and which model gave it."""
        self._text = text
        self.set_byline(byline)
        self._draw()

    def set_byline(self, line: str) -> None:
        """Sets the line under the answer."""
        self.query_one("#byline", Static).update(Content(clean_text(line)))

    @property
    def text(self) -> str:
        """The answer so far, as shown."""
        return clean_text(self._text)

    def watch_scroll_y(self, old_value: float, new_value: float) -> None:
        """Stops following on a scroll upwards: only the user scrolls up."""
        super().watch_scroll_y(old_value, new_value)
        if new_value < old_value and self._text:
            self._following = False
        elif new_value >= self.max_scroll_y:
            self._following = True

    def _draw(self) -> None:
        if self._text == self._drawn:
            return
        self._drawn = self._text
        self.query_one("#answer", Static).update(with_markers(self.text))
        if self._following:
            self.scroll_end(animate=False)


def with_markers(text: str) -> Content:
    """`text` with its citation markers highlighted."""
    content = Content(text)
    for match in _MARKER.finditer(text):
        content = content.stylize("bold $text-accent", match.start(), match.end())
    return content
