"""The citations of an answer; Enter opens one."""

from typing import ClassVar

from textual.binding import Binding, BindingType
from textual.content import Content
from textual.widgets import OptionList

from appliance import wire
from appliance.display.safe_text import clean_line
from tui.messages import CitationChosen


class CitationList(OptionList):
    """Numbered as in the answer."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "select", "Open"),
        Binding("escape", "screen.to_question", "Question"),
    ]

    def show(self, citations: list[wire.Citation]) -> None:
        """Replaces the listed citations."""
        self.clear_options()
        before = [None, *citations]
        self.add_options([
            citation_line(citation, continued=_place(citation) == _place(earlier))
            for citation, earlier in zip(citations, before, strict=False)
        ])  # fmt: skip
        self.border_title = f"Citations ({len(citations)})" if citations else "Citations"
        self.display = bool(citations)

    def on_option_list_option_selected(self, event: OptionList.OptionSelected) -> None:
        event.stop()
        self.post_message(CitationChosen(event.option_index))


def _place(citation: wire.Citation | None) -> tuple[str, str, int] | None:
    return (citation.marker, citation.document, citation.page) if citation else None


def citation_line(citation: wire.Citation, *, continued: bool = False) -> Content:
    """Marker, document and page on one line, the quote on the next; if `continued`, only the quote."""
    doubt = Content("" if citation.supported else "  not clearly supported").stylize("$text-warning")
    place = Content(f" {clean_line(citation.document)}, page {citation.page}")
    marker = Content(citation.marker).stylize("bold $text-accent")
    quote = Content(f"    “{clean_line(citation.quote)}”").stylize("$text-muted")
    return quote + doubt if continued else marker + place + doubt + "\n" + quote
