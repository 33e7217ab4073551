"""The input for the question.

Up recalls earlier questions, Down moves on to the citations, and Enter without a question opens a citation: keys that
arrive before the focus has moved must not be lost.
"""

from typing import ClassVar

from textual.binding import Binding, BindingType
from textual.widgets import Input

from appliance.wire import MAX_QUERY_CHARS
from tui.messages import QuestionAsked


class QuestionInput(Input):
    """An input that remembers the questions of this session."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("down", "onward", "Citations", key_display="↓"),
        Binding("up", "earlier", "Earlier question", show=False),
    ]

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(placeholder="Ask about your documents", max_length=MAX_QUERY_CHARS, id=id)
        self._asked: list[str] = []
        self._position = 0

    async def on_input_submitted(self, event: Input.Submitted) -> None:
        event.stop()
        question = event.value.strip()
        if question:
            self._asked.append(question)
            self._position = len(self._asked)
            self.clear()
            self.post_message(QuestionAsked(question))
        else:
            await self.run_action("screen.open_citation")

    def action_earlier(self) -> None:
        """Recalls the question before."""
        if self._position > 0:
            self._go(self._position - 1)

    async def action_onward(self) -> None:
        """Recalls the question after; from the newest it moves to the citations."""
        if self._position < len(self._asked):
            self._go(self._position + 1)
        else:
            await self.run_action("screen.to_citations")

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Offers the citations only if there are some."""
        if action == "onward":
            return self._position < len(self._asked) or self.screen.check_action("to_citations", ())
        return True

    def _go(self, position: int) -> None:
        self._position = position
        self.value = self._asked[position] if position < len(self._asked) else ""
        self.cursor_position = len(self.value)
        self.refresh_bindings()
