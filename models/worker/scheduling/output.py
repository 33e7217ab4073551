"""Turns the chosen tokens of a request into events of text. Pure.

Rule: a token's logprob is sent with the first text the token produces, never later. A token whose text a stop string
removes entirely is not reported.
"""

from collections import deque
from collections.abc import Sequence

from models.child_process.messages import Refused, Text
from models.text_stream import TextStream
from models.types import TokenLogprob
from models.worker.engine.sampler import Choice


class Output:
    """The output of one answer: whole characters only, and no stop string."""

    def __init__(self, request_id: int, stop: Sequence[str] = ()) -> None:
        self._id = request_id
        self._text = TextStream(stop)
        self._pending: deque[tuple[int, TokenLogprob]] = deque()  # not sent yet, each with its offset in the text

    @property
    def stopped(self) -> bool:
        """Whether a stop string was found."""
        return self._text.stopped

    def feed(self, choice: Choice, piece: bytes) -> list[Text]:
        """Returns the event for the text that this token completes, if any."""
        if choice.logprob:
            self._pending.append((self._text.known, choice.logprob))
        return self._event(self._text.feed(piece))

    def finish(self) -> list[Text]:
        """Returns the event for the text still held back, when the answer ends without a stop string."""
        text = self._text.finish()
        return self._event(text, everything=not self.stopped)

    def _event(self, text: str, *, everything: bool = False) -> list[Text]:
        logprobs = []
        while self._pending and (everything or self._pending[0][0] < self._text.released):
            logprobs.append(self._pending.popleft()[1])
        return [Text(id=self._id, text=text, logprobs=tuple(logprobs))] if text or logprobs else []


def grammar_refusal(request_id: int, why: str) -> Refused:
    """Ends an answer that cannot continue within its grammar."""
    hint = "simplify the grammar or the schema, or use another model"
    return Refused(id=request_id, kind="InvalidPrompt", what="answering within a grammar", why=why, hint=hint)
