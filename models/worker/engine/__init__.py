"""llama.cpp through its low-level API. The only importer of llama_cpp, loaded only in a model's child process.

Rule: on failure the bindings return a NULL pointer object, not None; so test `if not pointer`, never `is None`.
Door: `engine`.
"""

from models.worker.engine.batch import BatchSpan
from models.worker.engine.engine import Engine
from models.worker.engine.errors import DecodeFailed, NoRoom
from models.worker.engine.sampler import Sampler

__all__ = ["BatchSpan", "DecodeFailed", "Engine", "NoRoom", "Sampler"]
