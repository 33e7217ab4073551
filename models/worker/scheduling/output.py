"""What a request has said so far: chosen tokens in, events of text out. Pure.

Rule: a token's likelihood is told with the first of the text that it makes, never later; a token all of whose text is
cut off by a stop string is not told of.
"""

from collections import deque
from collections.abc import Sequence

from models.child_process.messages import Refused, Text
from models.text_stream import TextStream
from models.types import TokenLogprob
from models.worker.engine.sampler import Choice


class Output:
    """Collects one answer; gives out text without cut characters and without stop strings."""

    def __init__(self, request_id: int, stop: Sequence[str] = ()) -> None:
        self._id = request_id
        self._text = TextStream(stop)
        self._untold: deque[tuple[int, TokenLogprob]] = deque()  # with the place in the text where each begins

    @property
    def stopped(self) -> bool:
        """Whether a stop string was met."""
        return self._text.stopped

    def feed(self, choice: Choice, piece: bytes) -> list[Text]:
        """The text that this token completes."""
        if choice.logprob:
            self._untold.append((self._text.known, choice.logprob))
        return self._event(self._text.feed(piece))

    def finish(self) -> list[Text]:
        """What was still held back when the answer ended for another reason."""
        text = self._text.finish()
        return self._event(text, everything=not self.stopped)

    def _event(self, text: str, *, everything: bool = False) -> list[Text]:
        told = []
        while self._untold and (everything or self._untold[0][0] < self._text.given):
            told.append(self._untold.popleft()[1])
        return [Text(id=self._id, text=text, logprobs=tuple(told))] if text or told else []


def ungrammatical(request_id: int, why: str) -> Refused:
    """The end of an answer that cannot go on within its grammar."""
    hint = "simplify the grammar or the schema, or use another model"
    return Refused(id=request_id, kind="InvalidPrompt", what="answering within a grammar", why=why, hint=hint)
