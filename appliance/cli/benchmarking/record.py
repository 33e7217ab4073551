"""What a benchmark of a model says, as `docent bench model --json` prints it and the history keeps it.

Times in seconds, memory in bytes, speeds in tokens per second. What could not be measured is null.
"""

from pydantic import BaseModel, ConfigDict

from appliance.cli.benchmarking.figures import Percentiles


class _Value(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


class BenchSettings(_Value):
    """What was sent: so many clients at a time in so many rounds, each with a prompt and an answer of this length."""

    prompt_tokens: int
    answer_tokens: int
    clients: tuple[int, ...]
    rounds: int


class Reading(_Value):
    """How prompts are read, one at a time: all of it, and one of which only the end is new."""

    requests: int
    prompt_tokens: int
    tokens_per_second: float
    first_token: Percentiles
    cached_first_token: Percentiles
    cpu_seconds_per_1000: float | None = None


class Answering(_Value):
    """How so many clients at a time are served.

    `tokens_per_second` are the answers' tokens of all clients by the time from the first request to the last token;
    `decode_tokens_per_second` is the speed of one answer once it has begun. `between_tokens` is the time between two
    pieces of text as they arrive; a piece is mostly one token. CPU seconds are of the model's process, for 1,000
    tokens of answers, without what reading the prompts takes.
    """

    clients: int
    requests: int
    answer_tokens: int
    tokens_per_second: float
    decode_tokens_per_second: float | None
    first_token: Percentiles
    between_tokens: Percentiles | None
    total: Percentiles
    cpu_seconds_per_1000: float | None = None


class MemoryUse(_Value):
    """What was reserved for the model before it was loaded, and what its process really owns."""

    predicted: int | None = None
    measured: int | None = None


class Record(_Value):
    """One benchmark of one model on one machine; `at` is RFC 3339 in UTC."""

    model: str
    sha256: str
    version: str
    machine: str
    at: str
    settings: BenchSettings
    reading: Reading
    answering: tuple[Answering, ...]
    memory: MemoryUse

    def comparable(self, other: "Record") -> bool:
        """Whether both measured the same thing: the same file, lengths and machine. Rounds and clients may differ."""
        return self._key() == other._key()

    def _key(self) -> tuple[str, int, int, str]:
        return self.sha256, self.settings.prompt_tokens, self.settings.answer_tokens, self.machine
