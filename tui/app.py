"""The application: two screens, one feed, one state.

The feed's messages arrive here and change the state, then a signal makes the screens redraw. Nothing else changes it.
"""

from pathlib import Path
from typing import ClassVar

from textual.app import App
from textual.binding import Binding, BindingType
from textual.signal import Signal

from appliance.client import AsyncClient
from tui.feed import follow
from tui.messages import (
    DocumentChanged,
    DocumentRemoved,
    ModelsChanged,
    ServiceFound,
    ServiceLost,
    StatusChanged,
)
from tui.screens.ask import AskScreen
from tui.screens.library import LibraryScreen
from tui.state import State, StateMessage

_WIDE = 120  # cells; from here on the citations stand beside the answer


class DocentApp(App[None]):
    """Docent in a terminal."""

    TITLE = "Docent"
    CSS_PATH = "docent.tcss"
    ENABLE_COMMAND_PALETTE = False
    HORIZONTAL_BREAKPOINTS = [(0, "-narrow"), (_WIDE, "-wide")]  # noqa: RUF012 as Textual declares it
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("f2", "ask", "Ask"),
        Binding("f3", "switch_mode('library')", "Library"),
        Binding("ctrl+t", "toggle_mode", "Ask or library", show=False),
        Binding("ctrl+q", "quit", "Quit", priority=True),
    ]

    def __init__(self, socket: Path) -> None:
        super().__init__()
        self._client = AsyncClient(socket)
        self._state = State()
        self._changes: Signal[State] = Signal(self, "state")
        self.add_mode("ask", lambda: AskScreen(self._client, self._state, self._changes))
        self.add_mode("library", lambda: LibraryScreen(self._client, self._state, self._changes))

    async def on_mount(self) -> None:
        self.run_worker(follow(self._client, self.post_message), group="feed")
        await self.switch_mode("ask")

    async def on_unmount(self) -> None:
        self.workers.cancel_all()
        await self._client.close()

    async def action_ask(self) -> None:
        """Goes to the question from any screen."""
        await self.switch_mode("ask")
        while not isinstance(self.screen, AskScreen):
            await self.pop_screen()
        self.screen.action_to_question()

    def action_toggle_mode(self) -> None:
        """Switches to the other screen."""
        self.switch_mode("library" if self.current_mode == "ask" else "ask")

    def on_service_found(self, message: ServiceFound) -> None:
        self._take(message)

    def on_service_lost(self, message: ServiceLost) -> None:
        self._take(message)

    def on_status_changed(self, message: StatusChanged) -> None:
        self._take(message)

    def on_document_changed(self, message: DocumentChanged) -> None:
        self._take(message)

    def on_document_removed(self, message: DocumentRemoved) -> None:
        self._take(message)

    def on_models_changed(self, message: ModelsChanged) -> None:
        self._take(message)

    def _take(self, message: StateMessage) -> None:
        self._state.take(message)
        self._changes.publish(self._state)
