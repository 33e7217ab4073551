"""One request while it is worked on: its tokens so far and how far they are decoded. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Self

from models.worker.engine import BatchToken, Sampler
from models.worker.scheduling.output import Output
from models.worker.scheduling.prefix_index import Tokens, as_tokens
from models.worker.scheduling.sequences import AdapterSet, Maker
from models.worker.scheduling.speculation import Acceptance, Draft, Lookup


@dataclass(slots=True, eq=False)
class Job:
    """`tokens` begin with the prompt. The first `decoded` of them have their KV in `sequence`, and up to `ahead` of
    them `leader`, a job that runs, will have. `reused` tokens were not decoded for this job since it was admitted.
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
    _known: Tokens | None = None
    _lookup: Lookup | None = None
    _acceptance: Acceptance = field(default_factory=Acceptance)
    _cached_before: int | None = None

    def __post_init__(self) -> None:
        self.prompt_tokens = len(self.tokens)

    @property
    def maker(self) -> Maker:
        """Whose its KV is."""
        return self.adapters, self.scope

    @property
    def made(self) -> int:
        """Tokens of the answer so far."""
        return len(self.tokens) - self.prompt_tokens

    @property
    def answering(self) -> bool:
        """Whether only the newest token is left to decode."""
        return self.left == 1 and self.made > 0

    @property
    def known(self) -> Tokens:
        """The tokens when they were last asked for: quick to compare."""
        if self._known is None:
            self._known = as_tokens(self.tokens)
        return self._known

    @property
    def cached(self) -> int:
        """How many tokens of the prompt were never decoded for this job."""
        return min(self.reused, self.prompt_tokens, *(() if self._cached_before is None else (self._cached_before,)))

    @property
    def left(self) -> int:
        """Tokens to decode before the next can be sampled."""
        return len(self.tokens) - self.decoded

    def next_piece(self, room: int, draft: Sequence[int] = ()) -> BatchToken:
        """The next tokens to decode, at most `room`, and after the last of all a draft."""
        end = min(self.decoded + room, len(self.tokens))
        wanted = 1 + len(draft) if end == len(self.tokens) else 0
        return BatchToken([*self.tokens[self.decoded : end], *draft], self.decoded, self.sequence, wanted)

    def guess(self, most: int) -> int:
        """Find a draft of at most so many tokens; how many speak for it."""
        if not self.speculate:
            return 0
        if self._lookup is None:
            self._lookup = Lookup(self.tokens)
        self.draft = self._lookup.draft(min(most, self.max_tokens - self.made - 1))
        return self.draft.agreeing if self.draft else 0

    def expected(self, count: int) -> float:
        """How many of the draft's first `count` tokens will be right."""
        return self._acceptance.expected(self.draft.agreeing, count) if self.draft else 0.0

    def say(self, token: int) -> None:
        """The answer's next token."""
        self.tokens.append(token)
        if self._lookup:
            self._lookup.append(token)
        if self.draft and self.draft.tokens:
            hit = self.draft.tokens[0] == token
            self._acceptance.learn(self.draft.agreeing, hit)
            self.draft = Draft(self.draft.tokens[1:], self.draft.agreeing + 1) if hit else None

    def pause(self) -> None:
        """It loses its sequence and begins again later."""
        self._cached_before, self._known = self.cached, None
