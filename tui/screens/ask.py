"""The Ask screen: a question, its answer as it is written, and the citations."""

from collections.abc import Iterable
from contextlib import aclosing
from typing import ClassVar

from textual import on, work
from textual.binding import Binding, BindingType
from textual.containers import Container, Horizontal
from textual.signal import Signal
from textual.widget import Widget
from textual.widgets import Select, Static

from appliance import wire
from appliance.client import AsyncClient, DocentError
from appliance.display.answer_byline import EXTRACTIVE, byline
from appliance.display.humanize import overall_pace
from appliance.display.safe_text import clean_line
from tui.messages import CitationChosen, QuestionAsked
from tui.screens.base import ServiceScreen
from tui.screens.citation import CitationScreen
from tui.state import State
from tui.widgets.answer_view import AnswerView
from tui.widgets.citation_list import CitationList
from tui.widgets.question import QuestionInput

_ANSWER = "answer"
_DEFAULT = ""


class AskScreen(ServiceScreen):
    """One question at a time; a new one cancels the one before it."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "stop", "Stop"),
        # takes precedence over copying in the input and over the advice on quitting; only while an answer is written
        Binding("ctrl+c", "stop", show=False, priority=True),
    ]

    def __init__(self, client: AsyncClient, state: State, changes: Signal[State]) -> None:
        super().__init__(client, state, changes)
        self._answering = False
        self._passages: list[wire.Passage] = []
        self._citations: list[wire.Citation] = []
        self._offered = self._choices()

    def body(self) -> Iterable[Widget]:
        with Horizontal(id="ask-bar"):
            yield QuestionInput(id="input")
            yield Select(self._offered, allow_blank=False, value=_DEFAULT, id="model")
        yield Static(id="indexing", markup=False)
        with Container(id="ask-body"):
            yield AnswerView(id="answer-view")
            yield CitationList(id="citations", markup=False)

    def on_mount(self) -> None:
        super().on_mount()
        self.query_one("#citations").display = False
        self.query_one("#input").focus()

    def state_changed(self) -> None:
        line = self.query_one("#indexing", Static)
        words = indexing(self.state.status) if self.state.status else ""
        line.update(words)
        line.display = bool(words)
        choices = self._choices()
        if choices == self._offered:
            return
        self._offered = choices
        select = self.query_one("#model", Select)
        chosen = select.value
        select.set_options(choices)
        select.value = chosen if chosen in {value for _, value in choices} else _DEFAULT

    def _choices(self) -> list[tuple[str, str]]:
        models = [(clean_line(model.id), model.id) for model in self.state.models if model.kind == "gguf"]
        return [("default model", _DEFAULT), *models, ("quotes only", EXTRACTIVE)]

    @on(Select.Changed, "#model")
    def _model_chosen(self, event: Select.Changed) -> None:
        """Moves on to the question if the user chose the model; a changed list of models triggers this too."""
        if event.select.has_focus:
            self.action_to_question()

    @on(QuestionAsked)
    def _asked(self, event: QuestionAsked) -> None:
        model = self.query_one("#model", Select).value
        self._answer(event.question, model if isinstance(model, str) and model else None)

    @work(exclusive=True, group=_ANSWER)
    async def _answer(self, question: str, model: str | None) -> None:
        view = self.query_one(AnswerView)
        view.begin(question)
        self._answering = True
        self._show_citations([], [])
        try:
            async with aclosing(self.client.ask_stream(wire.AskRequest(question=question, model=model))) as events:
                async for event in events:
                    self._take(event)
        except DocentError as error:
            view.set_byline(f"No answer: {error}\n{error.hint}")
        self._answering = False
        self.refresh_bindings()

    def _take(self, event: wire.AskEvent) -> None:
        view = self.query_one(AnswerView)
        match event:
            case wire.PassagesEvent():
                self._passages = event.passages
                number = len(event.passages)
                reading = f"Reading {number} {'passage' if number == 1 else 'passages'} …"
                view.set_byline(reading if event.passages else "No passage fits.")
            case wire.TokenEvent():
                if not view.text:
                    view.set_byline(_writing(self._passages))
                view.append(event.text)
            case wire.ErrorEvent():
                self.notify(clean_line(event.error.message), title="The answer broke off", severity="error")
            case wire.DoneEvent():
                view.finish(event.answer, byline(event))
                self._show_citations(self._passages, event.citations)

    def _show_citations(self, passages: list[wire.Passage], citations: list[wire.Citation]) -> None:
        self._passages, self._citations = passages, citations
        self.query_one(CitationList).show(citations)
        self.refresh_bindings()

    @on(CitationChosen)
    def _open_citation(self, event: CitationChosen) -> None:
        event.stop()
        self._open(event.index)

    def _open(self, index: int) -> None:
        self.app.push_screen(CitationScreen(self._citations, self._passages, index))

    def action_stop(self) -> None:
        """Stops the running answer; this closes the connection, so the service stops too."""
        self.workers.cancel_group(self, _ANSWER)
        self._answering = False
        self.query_one(AnswerView).set_byline("Stopped.")
        self.refresh_bindings()

    def action_to_citations(self) -> None:
        """Moves the focus to the citations."""
        citations = self.query_one(CitationList)
        citations.highlighted = citations.highlighted or 0
        self.set_focus(citations)

    def action_open_citation(self) -> None:
        """Opens the highlighted citation, or the first."""
        self._open(self.query_one(CitationList).highlighted or 0)

    def action_to_question(self) -> None:
        """Moves the focus to the question."""
        self.set_focus(self.query_one(QuestionInput))

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Offers a key only while it does something."""
        if action in ("to_citations", "open_citation"):
            return bool(self._citations)
        return self._answering if action == "stop" else True


def _writing(passages: list[wire.Passage]) -> str:
    return f"Writing from {len(passages)} {'passage' if len(passages) == 1 else 'passages'} …"


def indexing(status: wire.Status) -> str:
    """A warning that answers may be incomplete; empty if no document is being read."""
    if status.progress is None:
        return ""
    number = status.documents.indexing + status.documents.pending
    documents = f"{number:,} {'document' if number == 1 else 'documents'}"
    return f"Indexing {documents}, {overall_pace(status.progress, brief=True)}. Answers may be incomplete."
