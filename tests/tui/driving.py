"""Helpers that drive the interface with keys."""

from collections.abc import Callable
from typing import Any

from textual.pilot import Pilot
from textual.widgets import Static

_TRIES = 1000


async def until(pilot: Pilot[Any], condition: Callable[[], object]) -> None:
    """Let the interface run until `condition` holds; fails after some seconds."""
    for _ in range(_TRIES):
        if condition():
            return
        await pilot.pause(0.01)
    raise AssertionError("it did not come to that")


def shown(pilot: Pilot[Any], selector: str) -> str:
    """The plain text of a widget."""
    return str(pilot.app.screen.query_one(selector, Static).content)


def keys(text: str) -> list[str]:
    """The keys that type `text`."""
    names = {" ": "space", "?": "question_mark", ".": "full_stop"}
    return [names.get(character, character) for character in text]
