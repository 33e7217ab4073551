"""Records and samples for tests."""

from collections.abc import Sequence

from appliance.cli.benchmarking.figures import percentiles
from appliance.cli.benchmarking.record import Answering, BenchSettings, MemoryUse, Reading, Record
from appliance.cli.benchmarking.samples import Sample


def sample(sent: float = 0.0, first: float = 1.0, tokens: int = 11, gap: float = 0.1, prompt: int = 100) -> Sample:
    """A request whose answer arrives token by token."""
    arrivals = tuple(sent + first + gap * at for at in range(tokens))
    return Sample(sent, arrivals, arrivals[-1], prompt_tokens=prompt, answer_tokens=tokens)


def record(speed: float = 100.0, *, sha256: str = "a", machine: str = "m", clients: Sequence[int] = (1,)) -> Record:
    """A run with all figures scaled by `speed`."""
    spread = percentiles([1 / speed])
    assert spread is not None
    return Record(
        model="noise",
        sha256=sha256,
        version="0.1.0",
        machine=machine,
        at="2026-01-01T00:00:00Z",
        settings=BenchSettings(prompt_tokens=100, answer_tokens=10, clients=tuple(clients), rounds=1),
        reading=Reading(
            requests=1, prompt_tokens=100, tokens_per_second=speed, first_token=spread, cached_first_token=spread
        ),
        answering=tuple(_answering(count, speed) for count in clients),
        memory=MemoryUse(predicted=100, measured=100),
    )


def _answering(clients: int, speed: float) -> Answering:
    spread = percentiles([1 / speed])
    assert spread is not None
    return Answering(
        clients=clients,
        requests=clients,
        answer_tokens=10,
        tokens_per_second=speed,
        decode_tokens_per_second=speed,
        first_token=spread,
        between_tokens=spread,
        total=spread,
    )
