"""Shows a citation: its passage, with the quoted words marked."""

import shlex
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical, VerticalScroll
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import Footer, Static

from appliance import wire
from appliance.display.quote_search import find_quote
from appliance.display.safe_text import clean_line, clean_text


class CitationScreen(ModalScreen[None]):
    """Shows one citation at a time; the arrow keys go through all of an answer's citations."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,enter,q", "dismiss", "Close", key_display="esc"),
        Binding("f2", "app.ask", "Ask", show=False),
        Binding("right,n", "step(1)", "Next", key_display="→"),
        Binding("left,p", "step(-1)", "Previous", key_display="←"),
    ]

    def __init__(self, citations: list[wire.Citation], passages: list[wire.Passage], index: int) -> None:
        super().__init__()
        self._citations = citations
        self._passages = {passage.chunk_id: passage for passage in passages}
        self._index = index

    def compose(self) -> ComposeResult:
        with Vertical(id="citation"):
            yield Static(id="citation-place", markup=False)
            with VerticalScroll(id="citation-scroll"):
                yield Static(id="citation-text", markup=False)
            yield Static(id="citation-note", markup=False)
        yield Footer()

    def on_mount(self) -> None:
        self.query_one("#citation-scroll").focus()
        self._show()

    def action_step(self, step: int) -> None:
        """Goes to the next or previous citation, and from the last to the first."""
        self._index = (self._index + step) % len(self._citations)
        self._show()

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Offers next and previous only if there are several citations."""
        return action != "step" or len(self._citations) > 1

    def _show(self) -> None:
        citation = self._citations[self._index]
        passage = self._passages.get(citation.chunk_id)
        self.query_one("#citation", Vertical).border_title = f"Citation {self._index + 1} of {len(self._citations)}"
        self.query_one("#citation-place", Static).update(_place(citation, passage))
        self.query_one("#citation-text", Static).update(marked_passage(citation, passage))
        self.query_one("#citation-note", Static).update(_note(citation))
        self.query_one("#citation-scroll", VerticalScroll).scroll_home(animate=False)


def _place(citation: wire.Citation, passage: wire.Passage | None) -> Content:
    place = Content(f"{clean_line(citation.document)}, page {citation.page}").stylize("bold")
    heading = " › ".join(clean_line(part) for part in passage.heading) if passage else ""
    return place + Content(f"\n{heading}").stylize("$text-muted") if heading else place


def _note(citation: wire.Citation) -> Content:
    note = Content("The marked words are on that page.")
    if not citation.supported:
        note = Content("The page does not clearly support what the answer says.").stylize("$text-warning")
    return note + Content(f"\nTo see the page: {command_to_see(citation)}")


def command_to_see(citation: wire.Citation) -> str:
    """The shell command that draws the cited page with the passage marked."""
    name = shlex.quote(clean_line(citation.document))
    return f"docent documents show {name} --page {citation.page} --chunk {citation.chunk_id} --png page.png"


def marked_passage(citation: wire.Citation, passage: wire.Passage | None) -> Content:
    """The passage with the quote marked; the quote first if the passage does not contain it, alone without a passage."""
    quote = clean_text(citation.quote)
    if passage is None:
        return Content(quote).stylize("reverse")
    text = clean_text(passage.text)
    span = find_quote(text, quote)
    if span is None:
        return Content(quote).stylize("reverse") + Content(f"\n\n{text}")
    return Content(text).stylize("reverse", *span)
