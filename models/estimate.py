"""What a load needs, from the model's header and the settings alone. Pure."""

from typing import Final

from models.gguf import KV_BYTES, GgufHeader
from models.need import RAM, Need, Part
from models.protocol import LoadSettings

_PROCESS_BYTES: Final = 45 * 1024 * 1024
_BYTES_PER_VOCABULARY_ENTRY: Final = 400
_COMPUTE_BYTES_PER_WIDTH: Final = 80  # of one token in a batch


def estimate(header: GgufHeader, settings: LoadSettings) -> Need:
    """The first and quickest of the three steps; no memory, no file is looked at."""
    cells = max(min(settings.context, header.context_length), settings.cells or 0)
    kv = round(header.kv_values_per_token * KV_BYTES[settings.kv_type] * cells)
    compute = _COMPUTE_BYTES_PER_WIDTH * header.embedding_length * settings.batch
    logits = 4 * settings.parallel * header.vocab_size
    process = _PROCESS_BYTES + _BYTES_PER_VOCABULARY_ENTRY * header.vocab_size
    parts = (
        Part("weights", RAM, header.weight_bytes),
        Part("kv", RAM, kv),
        Part("compute", RAM, compute + logits),
        Part("cache", RAM, settings.cache_bytes),
        Part("process", RAM, process),
    )
    return Need(tuple(part for part in parts if part.bytes), "header")
