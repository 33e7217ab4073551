"""The parts of every full screen: the state, its changes, the status line, and the footer with the keys."""

from abc import abstractmethod
from collections.abc import Iterable

from textual.app import ComposeResult
from textual.screen import Screen
from textual.signal import Signal
from textual.widget import Widget
from textual.widgets import Footer

from appliance.client import AsyncClient
from tui.state import State
from tui.widgets.status_line import StatusLine


class ServiceScreen(Screen[None]):
    """A screen that shows the service's state."""

    def __init__(self, client: AsyncClient, state: State, changes: Signal[State]) -> None:
        super().__init__()
        self.client = client
        self.state = state
        self._changes = changes

    @abstractmethod
    def body(self) -> Iterable[Widget]:
        """Yields the widgets above the status line."""

    @abstractmethod
    def state_changed(self) -> None:
        """Redraws; called after every change of the state."""

    def compose(self) -> ComposeResult:
        yield from self.body()
        yield StatusLine("Looking for the service …", id="status", markup=False)
        yield Footer()

    def on_mount(self) -> None:
        self._changes.subscribe(self, lambda _state: self._show_state())
        self._show_state()

    def _show_state(self) -> None:
        line = self.query_one(StatusLine)
        if self.state.trouble:
            line.show_trouble(*self.state.trouble)
        elif self.state.status:
            line.show_status(self.state.status)
        self.state_changed()
