"""What a request has said so far: chosen tokens in, events of text out. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass

from models.protocol import Text, TokenLogprob
from models.streaming import TextStream


@dataclass(frozen=True, slots=True)
class Choice:
    """A chosen token, and how likely it was if the request asked for that."""

    token: int
    logprob: TokenLogprob | None = None


class Output:
    """Collects one answer; gives out text without cut characters and without stop strings."""

    def __init__(self, request_id: int, stop: Sequence[str] = ()) -> None:
        self._id = request_id
        self._text = TextStream(stop)

    @property
    def stopped(self) -> bool:
        """Whether a stop string was met."""
        return self._text.stopped

    def feed(self, choice: Choice, piece: bytes) -> list[Text]:
        """The text that this token completes."""
        return self._event(self._text.feed(piece))

    def finish(self) -> list[Text]:
        """What was still held back when the answer ended for another reason."""
        return self._event(self._text.finish())

    def _event(self, text: str) -> list[Text]:
        return [Text(id=self._id, text=text)] if text else []
