"""llama.cpp, through its low-level API; the only importer of llama_cpp, and only loaded inside a model's child process.

Rule: the bindings return a NULL pointer object on failure, not None; so `if not pointer`, never `is None`.
"""

from models.worker.engine.batch import BatchToken
from models.worker.engine.engine import Engine
from models.worker.engine.errors import DecodeFailed, NoRoom
from models.worker.engine.sampler import Sampler

__all__ = ["BatchToken", "DecodeFailed", "Engine", "NoRoom", "Sampler"]
