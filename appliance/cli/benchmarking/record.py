"""The results of a benchmark, as `docent bench model --json` prints them and the history keeps them.

Times in seconds, memory in bytes, speeds in tokens per second; null where a value could not be measured.
"""

from pydantic import BaseModel, ConfigDict

from appliance.cli.benchmarking.figures import Percentiles


class _Value(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


class BenchSettings(_Value):
    """The load: numbers of simultaneous clients, rounds, and the lengths of prompts and answers in tokens."""

    prompt_tokens: int
    answer_tokens: int
    clients: tuple[int, ...]
    rounds: int


class Reading(_Value):
    """How prompts are read, one at a time: new ones, and ones of which only the end is new (`cached`)."""

    requests: int
    prompt_tokens: int
    tokens_per_second: float
    first_token: Percentiles
    cached_first_token: Percentiles
    cpu_seconds_per_1000: float | None = None


class Answering(_Value):
    """How a number of simultaneous clients is served.

    `tokens_per_second`: answer tokens of all clients / time from the first request to the last token.
    `decode_tokens_per_second`: speed of one answer after its first token.
    `between_tokens`: time between two pieces of text as they arrive; a piece is mostly one token.
    `cpu_seconds_per_1000`: CPU time of the model's process for 1,000 answer tokens, without reading the prompts.
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
    """What was reserved for the model before it was loaded, and what its process really uses."""

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
        """Whether both have the same model file, lengths and machine. Rounds and clients may differ."""
        return self._key() == other._key()

    def _key(self) -> tuple[str, int, int, str]:
        return self.sha256, self.settings.prompt_tokens, self.settings.answer_tokens, self.machine
