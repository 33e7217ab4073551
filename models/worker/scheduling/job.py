"""The state of one request: its tokens so far and how far they are decoded. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Self

from models.worker.engine import BatchSpan, Sampler
from models.worker.scheduling.output import Output
from models.worker.scheduling.prefix_index import Tokens, as_tokens
from models.worker.scheduling.sequences import AdapterSet, Maker
from models.worker.scheduling.speculation import Acceptance, Draft, Lookup


@dataclass(slots=True, eq=False)
class Job:
    """A request that is queued or running.

    `tokens` is the prompt, then the answer. The first `decoded` of them have their KV in `sequence`. The first `ahead` are
    also decoded, now or soon, by `leader`, a running job with the same beginning. `reused` counts the tokens that were not
    decoded for this job since it was last admitted. `began` and `answered` are times of the batcher's clock.
    """

    id: int
    tokens: list[int]
    max_tokens: int
    sampler: Sampler
    output: Output
    adapters: AdapterSet = ()
    speculate: bool = True
    scope: str = ""
    dropped: int = 0
    prompt_tokens: int = field(init=False)
    sequence: int = -1
    decoded: int = 0
    leader: Self | None = None
    ahead: int = 0
    reused: int = 0
    began: float = 0.0
    answered: float = 0.0
    draft: Draft | None = None
    drafted: int = 0
    accepted: int = 0
    _token_array: Tokens | None = None
    _lookup: Lookup | None = None
    _acceptance: Acceptance = field(default_factory=Acceptance)
    _cached_before: int | None = None

    def __post_init__(self) -> None:
        self.prompt_tokens = len(self.tokens)

    @property
    def maker(self) -> Maker:
        """What its KV is made with."""
        return self.adapters, self.scope

    @property
    def made(self) -> int:
        """The number of the answer's tokens so far."""
        return len(self.tokens) - self.prompt_tokens

    @property
    def answering(self) -> bool:
        """Whether the prompt is decoded, and only the newest token of the answer is not."""
        return self.left == 1 and self.made > 0

    @property
    def token_array(self) -> Tokens:
        """The tokens as an array, for comparing. Made at the first use and after `pause`; later tokens are missing."""
        if self._token_array is None:
            self._token_array = as_tokens(self.tokens)
        return self._token_array

    @property
    def cached(self) -> int:
        """The number of the prompt's tokens that were never decoded for this job."""
        return min(self.reused, self.prompt_tokens, *(() if self._cached_before is None else (self._cached_before,)))

    @property
    def left(self) -> int:
        """Tokens to decode before the next can be sampled."""
        return len(self.tokens) - self.decoded

    def next_span(self, room: int, draft: Sequence[int] = ()) -> BatchSpan:
        """Returns the next tokens to decode, at most `room`, followed by a draft (only after the last token)."""
        end = min(self.decoded + room, len(self.tokens))
        wanted = 1 + len(draft) if end == len(self.tokens) else 0
        return BatchSpan([*self.tokens[self.decoded : end], *draft], self.decoded, self.sequence, wanted)

    def find_draft(self, most: int) -> int:
        """Sets `draft` to at most `most` tokens. Returns the number of tokens that agree, 0 without a draft."""
        if not self.speculate:
            return 0
        if self._lookup is None:
            self._lookup = Lookup(self.tokens)
        self.draft = self._lookup.draft(min(most, self.max_tokens - self.made - 1))
        return self.draft.agreeing if self.draft else 0

    def expected(self, count: int) -> float:
        """Returns the number of the draft's first `count` tokens expected to be right."""
        return self._acceptance.expected(self.draft.agreeing, count) if self.draft else 0.0

    def append(self, token: int) -> None:
        """Adds a token to the answer and compares it with the draft."""
        self.tokens.append(token)
        if self._lookup:
            self._lookup.append(token)
        if self.draft and self.draft.tokens:
            hit = self.draft.tokens[0] == token
            self._acceptance.learn(self.draft.agreeing, hit)
            self.draft = Draft(self.draft.tokens[1:], self.draft.agreeing + 1) if hit else None

    def pause(self) -> None:
        """Prepares the job for losing its sequence and being admitted again."""
        self._cached_before, self._token_array = self.cached, None
